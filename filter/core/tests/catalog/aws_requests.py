"""Every operation of AWS as botocore itself serialises and signs it; nothing is sent."""

import json
import multiprocessing
import sys

import botocore.awsrequest
import botocore.config
import botocore.discovery
import botocore.session
import botocore.tokens

# The first is asked for everything; of each service the others get one operation a kind of host.
VARIANTS = [
    ("us-east-1", {}),
    ("cn-north-1", {}),
    ("us-gov-west-1", {"use_fips_endpoint": True}),
    ("eu-central-1", {"use_dualstack_endpoint": True}),
    ("eusc-de-east-1", {}),
    ("us-iso-east-1", {}),
]
# Hosts of which buckets and keys are a part.
S3_BUCKETS = [
    ("path", "us-west-2", {"s3": {"addressing_style": "path"}}, "bucket"),
    ("virtual", "us-west-2", {"s3": {"addressing_style": "virtual"}}, "bucket"),
    ("dots", "us-west-2", {}, "a.b.c"),
    ("accelerate", "us-west-2", {"s3": {"use_accelerate_endpoint": True}}, "bucket"),
    ("dual stack", "us-west-2", {"use_dualstack_endpoint": True}, "bucket"),
    ("fips", "us-west-2", {"use_fips_endpoint": True}, "bucket"),
    ("access point", "us-west-2", {}, "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"),
    ("outpost", "us-west-2", {}, "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01234567890123456/accesspoint/mine"),
    ("object lambda", "us-west-2", {}, "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/mine"),
    ("express", "us-west-2", {"s3": {"disable_s3_express_session_auth": True}}, "bucket--usw2-az1--x-s3"),
]


class Sample:
    """Values that a model's shapes accept."""

    def __init__(self, arn):
        self.arn = arn
        self.depth = 0

    def of(self, shape, name=""):
        kind = shape.type_name
        if kind == "structure":
            return self.structure(shape)
        if kind == "list":
            count = max(1, shape.metadata.get("min", 0)) if self.depth < 4 else shape.metadata.get("min", 0)
            return [self.of(shape.member, name) for _ in range(count)]
        if kind == "map":
            return {self.of(shape.key): self.of(shape.value)}
        if kind == "string":
            return self.text(shape, name)
        if kind in ("integer", "long"):
            return max(1, int(shape.metadata.get("min", 1)))
        if kind in ("float", "double"):
            return max(1.0, float(shape.metadata.get("min", 1)))
        return {"boolean": True, "timestamp": "2026-01-02T03:04:05Z", "blob": b"blob"}.get(kind, {})

    def structure(self, shape):
        self.depth += 1
        members = [name for name in shape.required_members if name in shape.members]
        if getattr(shape, "is_tagged_union", False) and not members:
            members = list(shape.members)[:1]
        sampled = {name: self.of(shape.members[name], name) for name in members} if self.depth < 8 else {}
        self.depth -= 1
        return sampled

    def text(self, shape, name):
        if getattr(shape, "enum", None):
            return shape.enum[0]
        if name in ("AccountId", "accountId", "account_id"):
            return "123456789012"
        if self.arn and name.lower().endswith("arn"):
            return f"{self.arn}:{name.lower().removesuffix('arn') or 'thing'}/mine"
        text = f"x{name}"
        return text + "x" * max(0, shape.metadata.get("min", 0) - len(text))


def requests_of(arguments):
    """The requests of one service, as lines of JSON."""
    service, variants = arguments
    lines, failures = [], []
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    session.register_component("token_provider", Tokens())
    for number, (region, options) in enumerate(variants):
        client = make(session, service, region, options)
        if client is None:
            continue
        kinds = set()
        for operation in client.meta.service_model.operation_names:
            model = client.meta.service_model.operation_model(operation)
            kind = (model.endpoint or {}).get("hostPrefix")
            if number and kind in kinds:
                continue
            kinds.add(kind)
            call(client, operation, {}, service, region, lines, failures)
    if service == "s3":
        for label, region, options, bucket in S3_BUCKETS:
            client = make(session, service, region, options)
            for operation in ("GetObject", "PutObject", "ListObjectsV2", "CopyObject", "GetBucketAcl", "UploadPart"):
                if label in ("access point", "outpost", "object lambda") and operation == "GetBucketAcl":
                    continue
                keys = {"Bucket": bucket, "Key": "a//b/%2e c+é.txt"} if operation != "ListObjectsV2" else {"Bucket": bucket}
                if operation == "GetBucketAcl":
                    keys.pop("Key")
                if operation == "CopyObject":
                    keys["CopySource"] = "other/key"
                call(client, operation, keys, service, label, lines, failures)
    return lines, failures


def make(session, service, region, options):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, parameter_validation=False, inject_host_prefix=True,
        request_min_compression_size_bytes=1 << 20, **options
    )
    client = session.create_client(service, region_name=region, config=config, aws_access_key_id="AKIDEXAMPLE",
                                   aws_secret_access_key="secret")
    return client


def call(client, operation, keys, service, label, lines, failures):
    model = client.meta.service_model.operation_model(operation)
    region = client.meta.region_name
    # Some hosts are made of an ARN that the request names.
    for arn in ("", f"arn:{client.meta.partition}:{model.service_model.signing_name}:{region}:123456789012"):
        parameters = (Sample(arn).of(model.input_shape) if model.input_shape else {}) | keys
        sent, failure = attempt(client, operation, parameters)
        if sent:
            lines.append(line(service, operation, label, sent[0], model))
            return
    failures.append(f"{service} {operation} {label}: {failure}"[:200])


def attempt(client, operation, parameters):
    """The request that a call makes, or why it makes none."""
    sent, failure = [], ""

    def stop(request, **_):
        sent.append(request)
        raise Stop

    client.meta.events.register_first("before-send", stop)
    try:
        client._make_api_call(operation, parameters)
    except Stop:
        pass
    except Exception as error:  # what cannot be serialised is counted, not hidden
        failure = f"{type(error).__name__}: {error}"
    finally:
        client.meta.events.unregister("before-send", stop)
    return sent, failure


def discovered(manager, **_):
    """The host that Timestream's own answer would name: it is asked for before every operation."""
    client = manager._client
    kind = "query" if client.meta.service_model.service_name == "timestream-query" else "ingest"
    return f"https://{kind}-cell1.timestream.{client.meta.region_name}.amazonaws.com"


class Tokens:
    """The token of services that want one instead of a signature."""

    def load_token(self, **_):
        return botocore.tokens.FrozenAuthToken("token")


class Stop(Exception):
    """The request is made; it goes nowhere."""


def line(service, operation, label, request, model):
    scheme, _, rest = request.url.partition("://")
    host, slash, path = rest.partition("/")
    host, question, query = (host, "", "") if "?" not in host else host.partition("?")
    headers = [[name.lower(), text(value)] for name, value in request.headers.items()]
    protocol = model.service_model.resolved_protocol if hasattr(model.service_model, "resolved_protocol") else ""
    body = request.body if isinstance(request.body, (bytes, bytearray, str)) else b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    is_form = any(name == "content-type" and "form" in value for name, value in headers)
    return json.dumps({
        "service": service, "action": operation, "label": label, "protocol": protocol, "method": request.method,
        "authority": host, "path": (slash or "/") + path + question + query, "headers": headers,
        "body": body.decode() if is_form else "",
    })


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def main(out):
    botocore.discovery.EndpointDiscoveryManager.describe_endpoint = discovered
    services = botocore.session.Session().get_available_services()
    with multiprocessing.Pool() as pool:
        for lines, failures in pool.imap_unordered(requests_of, [(name, VARIANTS) for name in services], chunksize=1):
            for written in lines:
                out.write(written + "\n")
            for failure in failures:
                print("not serialised:", failure, file=sys.stderr)


if __name__ == "__main__":
    with open(sys.argv[1], "w") as out:
        main(out)
