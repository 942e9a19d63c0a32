"""Every method of Google's discovery documents as its own client makes the request; nothing is sent."""

import json
import multiprocessing
import pathlib
import re
import sys

import googleapiclient
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery import fix_method_name, key2param
from googleapiclient.http import HttpMock, HttpRequest, MediaInMemoryUpload

try:
    from re._constants import (
        ANY, BRANCH, CATEGORY, IN, LITERAL, MAX_REPEAT, MIN_REPEAT, NEGATE, NOT_LITERAL, RANGE, SUBPATTERN,
    )
    from re._parser import parse
except ImportError:  # before Python 3.11
    from sre_constants import (
        ANY, BRANCH, CATEGORY, IN, LITERAL, MAX_REPEAT, MIN_REPEAT, NEGATE, NOT_LITERAL, RANGE, SUBPATTERN,
    )
    from sre_parse import parse

DOCUMENTS = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache/documents"


def sample(parameter: dict) -> str:
    """A value that fits a path parameter's pattern."""
    if "enum" in parameter:
        return parameter["enum"][0] or parameter["enum"][-1]
    if parameter["type"] in ("integer", "number"):
        return "1"
    pattern = parameter.get("pattern", "x1")
    if "a-zA-Z0-9/" in pattern:
        # Compute's only parameter that spans segments.
        return "reservations/x1/reservationBlocks/x1"
    # Most are like `^projects/[^/]+$`; names of one letter would fit what is meant for no name.
    value = "x1" if re.fullmatch(pattern, "x1") else text_of(parse(pattern))
    if not re.fullmatch(pattern, value):
        raise ValueError(f"`{value}` does not fit {pattern}")
    return value


def text_of(pieces) -> str:
    """A short text that a parsed regular expression matches."""
    text = ""
    for kind, value in pieces:
        if kind is LITERAL:
            text += chr(value)
        elif kind is ANY or kind is NOT_LITERAL:
            text += "x"
        elif kind is IN:
            text += next(c for c in "x1/-X" if re.fullmatch(in_class(value), c))
        elif kind is MAX_REPEAT or kind is MIN_REPEAT:
            text += text_of(value[2]) * max(value[0], min(1, value[1]))
        elif kind is SUBPATTERN:
            text += text_of(value[3])
        elif kind is BRANCH:
            text += text_of(value[1][0])
    return text


def in_class(items) -> str:
    """The text of a character class."""
    text = ""
    for kind, value in items:
        if kind is NEGATE:
            text += "^"
        elif kind is LITERAL:
            text += re.escape(chr(value))
        elif kind is RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif kind is CATEGORY:
            text += {"CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_SPACE": r"\S"}[value.name]
    return f"[{text}]"


def requests_of(path: pathlib.Path) -> list[str]:
    document = json.loads(path.read_text())
    lines = []
    # The client changes what it is given.
    client = build_from_document(path.read_text(), http=HttpMock())
    walk(client, document, document, lines)
    return lines


def walk(client, resource: dict, document: dict, lines: list[str]) -> None:
    for name, method in resource.get("methods", {}).items():
        call = getattr(client, fix_method_name(name))
        arguments = {
            key2param(key): sample(parameter)
            for key, parameter in method.get("parameters", {}).items()
            if parameter["location"] == "path" or parameter.get("required")
        }
        arguments = {key: [value] if is_repeated(method, key) else value for key, value in arguments.items()}
        if "request" in method:
            arguments["body"] = {}
        if name in resource.get("resources", {}):
            # The client has the resource where the method should be: what it would send is told by the document.
            path = re.sub(r"\{[^}]*\}", "x1", document["servicePath"] + method["flatPath"])
            made = HttpRequest(None, None, document["rootUrl"] + path, method["httpMethod"], headers={})
            lines.append(line(made, method, document, "by template"))
            continue
        lines.append(line(call(**arguments), method, document, "plain"))
        if "mediaUpload" in method:
            media = MediaInMemoryUpload(b"data", mimetype=accepted(method), resumable=False)
            lines.append(line(call(**arguments, media_body=media), method, document, "upload"))
        if method.get("supportsMediaDownload"):
            media = getattr(client, fix_method_name(name) + "_media", None)
            if media:
                lines.append(line(media(**arguments), method, document, "download"))
    for name, below in resource.get("resources", {}).items():
        walk(getattr(client, fix_method_name(name))(), below, document, lines)


def is_repeated(method: dict, key: str) -> bool:
    return any(key2param(name) == key and value.get("repeated") for name, value in method["parameters"].items())


def accepted(method: dict) -> str:
    kind = method["mediaUpload"].get("accept", ["*/*"])[0]
    return kind.replace("*", "x") if "*" in kind else kind


def line(request, method: dict, document: dict, label: str) -> str:
    host, slash, path = request.uri.partition("://")[2].partition("/")
    headers = [[name.lower(), str(value)] for name, value in request.headers.items()]
    body = request.body or ""
    return json.dumps({
        "service": document["name"], "action": method["id"].partition(".")[2], "label": label, "protocol": "google",
        "method": request.method, "authority": host, "path": slash + path, "headers": headers,
        "body": body if isinstance(body, str) and len(body) < 4096 else "",
    })


def main(out) -> None:
    paths = sorted(path for path in DOCUMENTS.glob("*.json") if path.name != "index.json")
    paths.sort(key=lambda path: -path.stat().st_size)
    with multiprocessing.Pool() as pool:
        for lines in pool.imap_unordered(requests_of, paths):
            out.writelines(line + "\n" for line in lines)


if __name__ == "__main__":
    with open(sys.argv[1], "w") as out:
        main(out)
