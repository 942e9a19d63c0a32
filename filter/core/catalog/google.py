"""Google, from the discovery documents in its API client."""

import collections
import re

from choices import GEMINI_ROUTES, GEMINI_VERSIONS, MODEL_VERBS
from model import (
    GOOGLE, GREEDY, LABEL, QUERY_ABSENT, QUERY_PRESENT, REGION, REST, RULE_BIGQUERY_JOB, RULE_BIGQUERY_UPLOAD,
    RULE_MODEL_IN_PATH, Api, Condition, Route,
)
from naming import Lock, google_names
from sources import Wheel

DOCUMENTS = r"googleapiclient/discovery_cache/documents/(?!index\.).*\.json"


def read(wheel: Wheel, locked: Lock, lock: Lock) -> list[Api]:
    """Every API, its versions together, as one for each set of hosts that they are at."""
    documents = collections.defaultdict(list)
    for path in wheel.names(DOCUMENTS):
        document = wheel.json(path)
        documents[document["name"]].append(document)
    apis = []
    for name, versions in sorted(documents.items()):
        service = "gcp_" + re.sub(r"[^a-z0-9]", "_", name.lower())
        methods = [(version, method) for version in versions for method in methods_of(version)]
        ids = {bare_id(method) for _, method in methods}
        names = google_names(ids, locked.services.get(service, {}))
        for source, action in names.items():
            lock.add(service, source, action)
        by_hosts = collections.defaultdict(lambda: Api(service, REST | GOOGLE))
        for version, method in methods:
            api = by_hosts[version["rootUrl"]]
            api.hosts |= hosts_of(version)
            api.routes += routes_of(version, method, names[bare_id(method)])
        for api in by_hosts.values():
            api.routes += session_routes(api.routes)
        apis += by_hosts.values()
    return apis + [gemini(lock)]


def methods_of(resource: dict) -> list[dict]:
    found = list(resource.get("methods", {}).values())
    for below in resource.get("resources", {}).values():
        found += methods_of(below)
    return found


def bare_id(method: dict) -> str:
    return method["id"].partition(".")[2]


def hosts_of(document: dict) -> set[tuple[str, ...]]:
    """The API's host, the one for mutual TLS, and those of its locations; `~name` stands for `{location}-name`."""
    hosts = set()
    for root in (document["rootUrl"], document.get("mtlsRootUrl")):
        if root:
            hosts.add(tuple(root.removeprefix("https://").strip("/").split(".")))
    for endpoint in document.get("endpoints", []):
        labels = endpoint["endpointUrl"].removeprefix("https://").strip("/").split(".")
        location = endpoint["location"]
        if labels[2:] == ["rep", "googleapis", "com"] and labels[1] == location:
            hosts.add((labels[0], REGION, "rep", "googleapis", "com"))
        elif labels[0].startswith(location + "-") and labels[1:] == ["googleapis", "com"]:
            hosts.add(("~" + labels[0].removeprefix(location + "-"), "googleapis", "com"))
            hosts.add(("~" + labels[0].removeprefix(location + "-"), "mtls", "googleapis", "com"))
        else:
            raise SystemExit(f"an endpoint of a new form: {endpoint}")
    return hosts


def segments_of(path: str, parameters: dict) -> tuple[str, ...]:
    """A flat path's segments, and a custom verb as one more: `:query`."""
    *first, last = path.strip("/").split("/")
    last, has_verb, verb = last.rpartition(":") if ":" in last else (last, "", "")
    segments = []
    for text in [*first, last]:
        if not text.startswith("{"):
            if ":" in text or "{" in text:
                raise SystemExit(f"a segment of a new form: {path}")
            segments.append(text)
        else:
            pattern = parameters.get(text.strip("{}"), {}).get("pattern", "")
            # An optional collection before an id is another way to write it, which is not known here.
            spans = "/" in re.sub(r"\(\w+/\)\?", "", pattern)
            segments.append(GREEDY if spans else LABEL)
    return tuple(segments) + ((":" + verb,) if has_verb else ())


def routes_of(document: dict, method: dict, name: str) -> list[Route]:
    verb = method["httpMethod"]
    base = document["servicePath"]
    flat = base + (method.get("flatPath") or method["path"])
    path = segments_of(flat, method.get("parameters", {}))
    is_job = method["id"] == "bigquery.jobs.insert"
    routes = [Route(verb, path, name, rule=RULE_BIGQUERY_JOB if is_job else model_rule(path))]
    if "mediaUpload" in method:
        for protocol, described in method["mediaUpload"]["protocols"].items():
            head = described["path"].strip("/").split("/")[: 2 if protocol == "resumable" else 1]
            upload = (*head, *path)
            routes.append(Route(verb, upload, name, no_session(), RULE_BIGQUERY_UPLOAD if is_job else 0))
    if method.get("supportsMediaDownload"):
        routes.append(Route(verb, ("download", *path), name))
    return routes


def session_routes(routes: list[Route]) -> list[Route]:
    """The parts of an upload follow to where it started, with the id that the start was answered.

    Where two methods upload to one path, nothing says whose parts they are.
    """
    names = collections.defaultdict(set)
    for route in routes:
        if route.conditions == no_session():
            names[route.path].add(route.name)
    in_session = (Condition(QUERY_PRESENT, "upload_id"),)
    return [
        Route(method, path, name, in_session)
        for path, (name, *others) in names.items()
        if not others
        for method in ("PUT", "DELETE")
    ]


def no_session() -> tuple[Condition, ...]:
    return (Condition(QUERY_ABSENT, "upload_id"),)


def model_rule(path: tuple[str, ...]) -> int:
    """Whether the path's last segment names the model that is asked."""
    if path[-1].removeprefix(":") in MODEL_VERBS and path[-3:-1] in (("models", LABEL), ("tunedModels", LABEL)):
        return RULE_MODEL_IN_PATH | len(path) - 2
    return 0


def gemini(lock: Lock) -> Api:
    """The Gemini API for developers, which the client has no document of."""
    api = Api("gcp_generativelanguage", REST | GOOGLE)
    api.hosts = {("generativelanguage", "googleapis", "com"), ("generativelanguage", "mtls", "googleapis", "com")}
    for verb, path, name in GEMINI_ROUTES:
        lock.add(api.service, name, name)
        for version in GEMINI_VERSIONS:
            segments = segments_of(f"{version}/{path}", {})
            api.routes.append(Route(verb, segments, name, rule=model_rule(segments)))
            if name == "files.create":
                api.routes.append(Route(verb, ("upload", *segments), name))
    return api
