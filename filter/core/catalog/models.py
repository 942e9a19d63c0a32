"""OpenAI, Anthropic and Azure OpenAI, from the text of the first two's own clients."""

import ast
import re

from choices import AZURE_DEPLOYMENT_PATHS, AZURE_HOSTS
from model import LABEL, MODEL, REST, RULE_MODEL_IN_BODY, RULE_MODEL_IN_PATH, Api, Route
from naming import Lock
from sources import Wheel

CALLS = {"_get": "GET", "_get_api_list": "GET", "_post": "POST", "_delete": "DELETE", "_put": "PUT", "_patch": "PATCH"}


def read(openai: Wheel, anthropic: Wheel, lock: Lock) -> list[Api]:
    of_openai = [call for call in calls_of(openai, "openai") if "{" not in call[2].split("/")[1]]
    of_anthropic = calls_of(anthropic, "anthropic")
    azure = Api("azure_openai", REST | MODEL, {tuple(host.split(".")) for host in AZURE_HOSTS})
    for name, method, path, has_model in of_openai:
        segments = segments_of(path)
        rule = RULE_MODEL_IN_BODY if has_model else 0
        azure.routes.append(Route(method, ("openai", "v1", *segments), name, rule=rule))
        azure.routes.append(Route(method, ("openai", *segments), name, rule=rule))
        if path.strip("/") in AZURE_DEPLOYMENT_PATHS:
            deployed = ("openai", "deployments", LABEL, *segments)
            azure.routes.append(Route(method, deployed, name, rule=RULE_MODEL_IN_PATH | 2))
    apis = [
        api_of("openai", "api.openai.com", of_openai, ("v1",)),
        api_of("anthropic", "api.anthropic.com", of_anthropic, ()),
        azure,
    ]
    for api in apis:
        api.routes = first_names(api.routes)
        for route in api.routes:
            lock.add(api.service, route.name, route.name)
    return apis


def api_of(service: str, host: str, calls: list, base: tuple[str, ...]) -> Api:
    routes = [
        Route(method, (*base, *segments_of(path)), name, rule=RULE_MODEL_IN_BODY if has_model else 0)
        for name, method, path, has_model in calls
    ]
    return Api(service, REST | MODEL, {tuple(host.split("."))}, routes)


def segments_of(path: str) -> tuple[str, ...]:
    path = path.partition("?")[0]
    return tuple(LABEL if text.startswith("{") else text for text in path.strip("/").split("/"))


def first_names(routes: list[Route]) -> list[Route]:
    """One name for each way: the shortest, after what only reads the answer otherwise, and what is a beta of it."""
    chosen = {}

    def order(route):
        is_reading = route.name.rsplit(".", 1)[-1] in ("parse", "stream")
        return (is_reading, route.name.startswith("beta."), len(route.name), route.name)

    for route in sorted(routes, key=order):
        first = chosen.setdefault((route.method, route.path), route)
        if route.rule and not first.rule:
            first.rule = route.rule
    return sorted(chosen.values(), key=lambda route: (route.path, route.method))


def calls_of(wheel: Wheel, package: str) -> list[tuple[str, str, str, bool]]:
    """The dotted name, method, path, and whether the JSON body names a model, of every call of a client."""
    calls = []
    for file in wheel.names(rf"{package}/resources/.*\.py"):
        parts = file.removesuffix(".py").split("/")[2:]
        if len(parts) > 1 and parts[-1] == parts[-2]:
            parts.pop()
        for node in ast.parse(wheel.text(file)).body:
            if isinstance(node, ast.ClassDef) and "Resource" in ast.dump(node) and not node.name.startswith("Async"):
                for function in node.body:
                    if isinstance(function, ast.FunctionDef):
                        calls += calls_in(".".join([*parts, function.name]), function)
    return sorted(set(calls))


def calls_in(name: str, function: ast.FunctionDef) -> list[tuple[str, str, str, bool]]:
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS and node.args:
            path = path_of(node.args[0])
            if path is None:
                continue
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            body = ast.dump(keywords["body"]) if "body" in keywords else ""
            has_model = "Constant(value='model')" in body and "files" not in keywords
            method = keywords.get("method")
            verb = method.value.upper() if isinstance(method, ast.Constant) else CALLS[node.func.attr]
            found.append((name, verb, path, has_model))
    return found


def path_of(argument: ast.expr) -> str | None:
    if isinstance(argument, ast.Call):
        argument = argument.args[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.JoinedStr):
        return "".join("{x}" if isinstance(v, ast.FormattedValue) else v.value for v in argument.values)
    return None
