"""What the sources are read into: APIs, each with its hosts and the ways to call its operations."""

import dataclasses

METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"]

# How an API is spoken to. The filter has the same numbers (`catalog/table/api.rs`).
REST = 1 << 0
JSON = 1 << 1
QUERY = 1 << 2
CBOR = 1 << 3
S3_PATH = 1 << 4
S3_VIRTUAL = 1 << 5
S3_LAMBDA = 1 << 6
QUEUE_PATH = 1 << 7
REST_XML = 1 << 8
EC2 = 1 << 9
GOOGLE = 1 << 10
MODEL = 1 << 11
S3_EXPRESS = 1 << 12

# What a leaf asks for beyond path, method and conditions. The high half is the kind, the low half a segment.
RULE_MODEL_IN_PATH = 0x10
RULE_MODEL_IN_BODY = 0x20
RULE_BIGQUERY_JOB = 0x30
RULE_BIGQUERY_UPLOAD = 0x40
RULE_GRPC = 0x50

# Kinds of conditions.
QUERY_PRESENT, QUERY_VALUE, QUERY_ABSENT, HEADER_PRESENT, HEADER_ABSENT = range(5)

# Pieces of a path or a host that are no literals.
LABEL, GREEDY, REGION = "{}", "{+}", "{R}"


@dataclasses.dataclass(frozen=True)
class Condition:
    kind: int
    key: str
    value: str = ""


@dataclasses.dataclass
class Route:
    """One way to reach an operation by REST, or by gRPC."""

    method: str
    path: tuple[str, ...]
    name: str
    conditions: tuple[Condition, ...] = ()
    rule: int = 0


@dataclasses.dataclass
class Api:
    """One API at its hosts. Several may share a host."""

    service: str
    flags: int
    # Labels from the left; `{}` is one label, `{+}` one or more, `{R}` a region.
    hosts: set[tuple[str, ...]] = dataclasses.field(default_factory=set)
    routes: list[Route] = dataclasses.field(default_factory=list)
    # Operations that are called by name.
    operations: set[str] = dataclasses.field(default_factory=set)
    target_prefix: str = ""
    version: str = ""
    cbor_service: str = ""
    # Query keys and headers that an operation must name to be reached with them.
    exclusive: tuple[str, ...] = ()
    signing: set[str] = dataclasses.field(default_factory=set)
