"""AWS, from botocore's models and its endpoint rules."""

import collections
import re

from choices import FAMILIES, LEGACY_HOSTS, LEGACY_QUERY, SENT_OTHERWISE, SHARED_OPERATIONS, VARIABLE_PREFIXES
from model import (
    CBOR, EC2, GREEDY, HEADER_ABSENT, HEADER_PRESENT, JSON, LABEL, QUERY, QUERY_ABSENT, QUERY_PRESENT,
    QUERY_VALUE, QUEUE_PATH, REGION, REST, REST_XML, RULE_MODEL_IN_PATH, S3_EXPRESS, S3_LAMBDA, S3_PATH,
    S3_VIRTUAL, Api, Condition, Route,
)
from sources import Wheel

PROTOCOLS = {
    "rest-json": REST, "rest-xml": REST | REST_XML, "json": JSON, "query": QUERY, "ec2": QUERY | EC2,
    "smithy-rpc-v2-cbor": CBOR,
}
REGION_LABEL = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+|aws-[a-z-]*global")


def read(wheel: Wheel) -> list[Api]:
    """Every service's latest model, as one API for each host prefix that its operations have."""
    suffixes = partition_suffixes(wheel)
    models = latest(wheel, "service-2.json.gz")
    rules = latest(wheel, "endpoint-rule-set-1.json.gz")
    names = {name: set(wheel.json(path)["operations"]) for name, path in models.items()}
    apis = []
    for name, path in models.items():
        model = wheel.json(path)
        rule_set = wheel.json(rules[name]) if name in rules else {"rules": []}
        dropped = {
            operation
            for first, second in SHARED_OPERATIONS
            if second == name
            for operation in names[first] & names[second]
        }
        apis += service_apis(name, model, rule_set, suffixes, dropped)
    return apis


def latest(wheel: Wheel, file: str) -> dict[str, str]:
    newest = {}
    for path in wheel.names(rf"botocore/data/[^/]+/[^/]+/{re.escape(file)}"):
        newest[path.split("/")[2]] = path
    return dict(sorted(newest.items()))


def partition_suffixes(wheel: Wheel) -> dict[str, list[str]]:
    """The DNS suffixes of all partitions, by the rules' names for them."""
    outputs = [partition["outputs"] for partition in wheel.json("botocore/data/partitions.json")["partitions"]]
    return {
        "dnsSuffix": sorted({output["dnsSuffix"] for output in outputs}),
        "dualStackDnsSuffix": sorted({output["dualStackDnsSuffix"] for output in outputs}),
    }


# --- hosts ---


def rule_urls(rules: list) -> list[tuple[str, list]]:
    """The endpoints' URL templates, each with its authentication schemes."""
    found = []
    for rule in rules:
        if rule.get("type") == "endpoint" and isinstance(rule["endpoint"]["url"], str):
            schemes = rule["endpoint"].get("properties", {}).get("authSchemes", [])
            found.append((rule["endpoint"]["url"], schemes))
        found += rule_urls(rule.get("rules", []))
    return found


def host_templates(rule_set: dict, suffixes: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """Hosts as labels, with `{R}`, `{}` and, for what stands before a bucket, its variable's name."""
    hosts = set()
    for url, _ in rule_urls(rule_set["rules"]):
        host = url.split("://", 1)[-1].split("/", 1)[0]
        if any(odd in url for odd in ("{url#", "{Endpoint}", "localhost", "CustomEndpointSuffixValue")):
            continue
        host = re.sub(r"\{\w*[pP]artition#implicitGlobalRegion\}|\{[Rr]egion\}|\{\w+#region\}", REGION, host)
        host = re.sub(r"\{\w*PartitionResult#implicitGlobalRegion\}", REGION, host)
        expanded = [host]
        for key, values in suffixes.items():
            pattern = re.compile(rf"\{{\w+#{key}\}}")
            expanded = [pattern.sub(value, host) for host in expanded for value in values]
        expanded = [
            host.replace("{OperationType}", kind) for host in expanded for kind in ("control", "data")
        ]
        for host in expanded:
            hosts.add(tuple(label(text) for text in host.split(".")))
    return hosts


def label(text: str) -> str:
    """One label of a template. What is glued to a variable is read by the filter: `s3express-{zone}`."""
    if text == REGION or REGION_LABEL.fullmatch(text):
        return REGION
    if text in ("{Bucket}",):
        return text
    if text.startswith(("s3express-", "op-")):
        return re.sub(r"-?\{\w+\}", "-{}", text) if text.startswith("s3express-") else LABEL
    if "{" in text:
        if not re.fullmatch(r"(\{[\w#]+\}-?)+", text):
            raise SystemExit(f"a host's label of a new form: {text}")
        return LABEL
    return text


def legacy_hosts(name: str) -> set[tuple[str, ...]]:
    return {tuple(host.split(".")) for host in LEGACY_HOSTS.get(name, [])}


def prefixed(prefix: str, hosts: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The hosts behind an operation's own prefix, which may be labels or glued to the first one."""
    if prefix in VARIABLE_PREFIXES:
        return {(VARIABLE_PREFIXES[prefix], *host) for host in hosts}
    *labels, glued = prefix.split(".")
    return {(*labels, glued + host[0], *host[1:]) for host in hosts}


# --- operations ---


def service_apis(name, model, rule_set, suffixes, dropped) -> list[Api]:
    metadata = model["metadata"]
    protocols = metadata.get("protocols") or [metadata["protocol"]]
    flags = 0
    for protocol in protocols:
        flags |= PROTOCOLS[protocol]
    hosts = host_templates(rule_set, suffixes) | legacy_hosts(name)
    signing = {metadata.get("signingName", metadata["endpointPrefix"])}
    for _, schemes in rule_urls(rule_set["rules"]):
        signing |= {scheme["signingName"] for scheme in schemes if "signingName" in scheme}
    service = "aws_" + FAMILIES.get(name, name).replace("-", "_")
    if name == "s3control":
        # Its rules name the account where the operation's own prefix does too.
        hosts |= {(LABEL, *host) for host in hosts if host[0] != LABEL}
    by_prefix = collections.defaultdict(dict)
    for operation, described in model["operations"].items():
        if operation not in dropped:
            prefix = described.get("endpoint", {}).get("hostPrefix", "") if name != "s3control" else ""
            by_prefix[prefix][operation] = described
    apis = []
    for prefix, operations in sorted(by_prefix.items()):
        api = Api(service, flags, signing=signing)
        api.hosts = prefixed(prefix, hosts) if prefix else hosts
        api.target_prefix = metadata.get("targetPrefix", "")
        api.version = metadata["apiVersion"]
        api.cbor_service = metadata.get("targetPrefix", "") or metadata["serviceId"].replace(" ", "")
        if flags & REST:
            api.routes = rest_routes(name, operations, model["shapes"])
        else:
            api.operations = set(operations)
        if name in LEGACY_QUERY:
            api.flags |= QUERY | QUEUE_PATH
            api.version = LEGACY_QUERY[name]
        apis.append(api)
    return s3_apis(apis, hosts) if name == "s3" else apis


def rest_routes(name: str, operations: dict, shapes: dict) -> list[Route]:
    groups = collections.defaultdict(list)
    for operation, described in sorted(operations.items()):
        uri, _, literals = described["http"]["requestUri"].partition("?")
        path, rule = rest_path(name, uri)
        input_shape = shapes.get(described.get("input", {}).get("shape"), {})
        # Directory buckets are listed at a host of their own.
        apart = operation == "ListDirectoryBuckets"
        candidate = Candidate(operation, described, literals, input_shape)
        groups[described["http"]["method"], path, rule, apart].append(candidate)
    routes = []
    for (method, path, rule, _), candidates in groups.items():
        for candidate, conditions in told_apart(candidates, always=name == "s3"):
            routes.append(Route(method, path, candidate.name, conditions, rule))
            if (name, candidate.name) in SENT_OTHERWISE:
                routes.append(Route(SENT_OTHERWISE[name, candidate.name], path, candidate.name, (), rule))
    return routes


def rest_path(name: str, uri: str) -> tuple[tuple[str, ...], int]:
    segments, rule = [], 0
    for at, text in enumerate(uri.strip("/").split("/") if uri.strip("/") else []):
        if text.startswith("{"):
            segments.append(GREEDY if text.endswith("+}") else LABEL)
            if name.startswith("bedrock-runtime") and text == "{modelId}":
                rule = RULE_MODEL_IN_PATH | at
        else:
            segments.append(text)
    return tuple(segments), rule


class Candidate:
    """One of the operations that share a method and a path."""

    def __init__(self, name: str, described: dict, literals: str, shape: dict):
        self.name = name
        self.deprecated = described.get("deprecated", False)
        self.literals = {}
        for literal in filter(None, literals.split("&")):
            key, has_value, value = literal.partition("=")
            self.literals[key] = value if has_value else None
        members, required = shape.get("members", {}), shape.get("required", [])
        self.queries = [
            members[member]["locationName"] for member in required if members[member].get("location") == "querystring"
        ]
        self.headers = [
            members[member]["locationName"].lower()
            for member in required
            if members[member].get("location") == "header"
        ]
        self.optional = {
            member["locationName"]
            for name, member in members.items()
            if member.get("location") == "querystring" and name not in required and "locationName" in member
        }

    def conditions(self, with_queries: bool, with_headers: bool) -> dict[tuple[str, str], str | None]:
        wanted = {("query", key): value for key, value in self.literals.items()}
        if with_queries:
            wanted |= {("query", key): None for key in self.queries}
        if with_headers:
            wanted |= {("header", key): None for key in self.headers}
        return wanted


def told_apart(candidates: list[Candidate], always: bool) -> list[tuple[Candidate, tuple[Condition, ...]]]:
    """For every operation the conditions under which it is meant, so that no two hold at once.

    What an operation requires is a condition where it is needed to tell them apart, or `always`.
    """
    by_wanted = collections.defaultdict(list)
    for candidate in candidates:
        same = [other for other in candidates if other.literals == candidate.literals]
        with_queries = always or len(same) > 1
        same = [other for other in same if set(other.queries) == set(candidate.queries)]
        wanted = candidate.conditions(with_queries, len(same) > 1)
        by_wanted[tuple(sorted(wanted.items(), key=repr))].append(candidate)
    chosen = []
    for wanted, same in by_wanted.items():
        current = [candidate for candidate in same if not candidate.deprecated] or same[:1]
        if len(current) > 1:
            raise SystemExit(f"nothing tells apart {[candidate.name for candidate in current]}")
        chosen.append((current[0], dict(wanted)))
    keys = {key for _, wanted in chosen for key in wanted}
    result = []
    for candidate, wanted in chosen:
        conditions = []
        for place, key in sorted(keys):
            value = wanted.get((place, key))
            if place == "header":
                conditions.append(Condition(HEADER_PRESENT if (place, key) in wanted else HEADER_ABSENT, key))
            elif (place, key) not in wanted:
                if key in candidate.optional:
                    raise SystemExit(f"`{key}` may be given to {candidate.name}, and means another operation")
                conditions.append(Condition(QUERY_ABSENT, key))
            else:
                kind = QUERY_PRESENT if value is None else QUERY_VALUE
                conditions.append(Condition(kind, key, value or ""))
        # What must be there tells sooner than what must not.
        conditions.sort(key=lambda condition: (condition.kind in (QUERY_ABSENT, HEADER_ABSENT), condition.key))
        result.append((candidate, tuple(conditions)))
    return result


# --- S3 ---


def s3_apis(apis: list[Api], hosts: set[tuple[str, ...]]) -> list[Api]:
    """S3 at hosts that name no bucket, at those that do, and at the ones of directory buckets and Object Lambda."""
    routes = [route for api in apis for route in api.routes]
    keys = {
        condition.key
        for route in routes
        for condition in route.conditions
        if condition.kind in (QUERY_PRESENT, QUERY_VALUE)
    } - {"id", "annotationName", "partNumber"}
    headers = {
        condition.key for route in routes for condition in route.conditions if condition.kind == HEADER_PRESENT
    }
    exclusive = tuple(sorted(keys) + sorted(headers))
    # A key of one operation is refused with every other by the filter, so that no route has to say so.
    for route in routes:
        route.conditions = tuple(
            condition
            for condition in route.conditions
            if condition.kind not in (QUERY_ABSENT, HEADER_ABSENT)
            or condition.key not in keys | headers
        )
    general = [route for route in routes if route.name not in ("WriteGetObjectResponse", "ListDirectoryBuckets")]
    in_bucket = [Route(r.method, r.path[1:], r.name, r.conditions, r.rule) for r in general if r.path]
    of_directories = [
        route for route in routes if route.path in ((), (LABEL,)) and route.name not in ("ListBuckets",)
    ]
    to_lambda = in_bucket + [route for route in routes if route.name == "WriteGetObjectResponse"]

    def api(flags, routes, hosts):
        return Api(
            "aws_s3", REST | REST_XML | flags, hosts, routes, exclusive=exclusive, signing=apis[0].signing
        )

    def with_bucket(host):
        return tuple(GREEDY if text == "{Bucket}" or host[1:3] == ("accesspoint", "s3-global") and at == 0 else text
                     for at, text in enumerate(host))

    lambdas = {host for host in hosts if any(text.startswith("s3-object-lambda") for text in host)}
    directories = {host for host in hosts if host[0].startswith("s3express-control")}
    others = hosts - lambdas - directories
    named = {host for host in others if host[0] in ("{Bucket}", LABEL)}
    plain = others - named
    named |= {("{Bucket}", *host) for host in plain}
    return [
        api(S3_PATH, general, plain),
        api(S3_VIRTUAL, in_bucket, {with_bucket(host) for host in named}),
        api(S3_VIRTUAL | S3_LAMBDA, to_lambda, {(LABEL, *host) if host[0] != LABEL else host for host in lambdas}),
        api(S3_PATH | S3_EXPRESS, of_directories, directories),
    ]
