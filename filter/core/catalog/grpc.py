"""The gRPC methods of Google's APIs, under the names that the same methods have by REST.

Google's own clients say of each RPC what it is by REST. One that is nothing by REST, or several things, is left out.
"""

import re

from model import LABEL, RULE_GRPC, Api, Route
from google import segments_of
from sources import Wheel

TRANSPORT = r"google/.*/services/[^/]+/transports/"
PATH = re.compile(r"\"/([\w.]+)/(\w+)\"")
CLASS = re.compile(r"class _Base(\w+)(?: ?\(|:)")
OPTION = re.compile(r"\"method\": \"(\w+)\",\s*\"uri\": \"([^\"]+)\"")


def add(wheels: list[Wheel], apis: list[Api]) -> None:
    """Adds the RPCs to the APIs that know them by REST."""
    by_route = {}
    for api in apis:
        for route in api.routes:
            by_route.setdefault((route.method, route.path), []).append((api, route.name))
    added = set()
    for wheel in wheels:
        for service, rpc, options in rpcs_of(wheel):
            meant = meanings(options, by_route)
            names = {(api.service, name) for api, name in meant}
            if len(names) != 1:
                continue
            for api in {id(api): api for api, _ in meant}.values():
                key = (id(api), service, rpc)
                if key not in added:
                    added.add(key)
                    api.routes.append(Route("POST", (service, rpc), meant[0][1], rule=RULE_GRPC))


def rpcs_of(wheel: Wheel) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Every RPC of a client: its service, its name, and the methods and paths that it has by REST."""
    found = []
    for rest in wheel.names(TRANSPORT + r"rest_base\.py"):
        stub = rest.replace("rest_base.py", "grpc.py")
        if stub not in wheel.archive.namelist():
            continue
        paths = dict((rpc, service) for service, rpc in PATH.findall(wheel.text(stub)))
        pieces = CLASS.split(wheel.text(rest))[1:]
        for rpc, text in zip(pieces[::2], pieces[1::2]):
            if rpc in paths:
                found.append((paths[rpc], rpc, OPTION.findall(text)))
    return sorted(found)


def meanings(options: list[tuple[str, str]], by_route: dict) -> list[tuple[Api, str]]:
    """What the paths of an RPC are in the discovery documents."""
    meant = []
    for method, uri in options:
        # `/v1/{name=projects/*/topics/*}:publish`
        flat = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", uri)
        flat = re.sub(r"\{[\w.]+\}", "*", flat)
        for rest in ("{x}", "{x}/{x}"):
            path = segments_of(flat.replace("**", rest).replace("*", "{x}"), {})
            meant += by_route.get((method.upper(), path), [])
    return meant
