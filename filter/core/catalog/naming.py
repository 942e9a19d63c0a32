"""The names that policies use, and the lock by which none changes unseen."""

import collections
import pathlib

from choices import CONTAINERS, STANDARD_VERBS

HEADER = """\
# Every service and action that the catalog knows. Policies name them: a name here never changes silently.
# `[service]`, then an action a line; behind it, where it differs, the source's own id.
"""


def google_names(ids: set[str], locked: dict[str, str]) -> dict[str, str]:
    """Names for the methods of one API, by their ids without the API's name. Those in the lock stay.

    `resource.verb` for the standard verbs; a verb that only one resource has is a name alone. Where a resource stands
    below several others, its name is the path of its collections but for projects, folders and the like.
    """
    resources = {method: resource(method) for method in ids}
    by_verb, by_noun = collections.defaultdict(set), collections.defaultdict(set)
    for method, (nouns, verb) in resources.items():
        by_verb[verb].add(nouns)
        by_noun[nouns[-1:], verb].add(nouns)
    names = {}
    for method, (nouns, verb) in resources.items():
        if method in locked:
            names[method] = locked[method]
        elif not nouns or verb not in STANDARD_VERBS and len(by_verb[verb]) == 1:
            names[method] = verb
        elif len(by_noun[nouns[-1:], verb]) == 1:
            names[method] = f"{nouns[-1]}.{verb}"
        else:
            names[method] = ".".join([*nouns, verb])
    meant = {}
    for method, name in sorted(names.items()):
        if meant.setdefault(name, resources[method]) != resources[method]:
            raise SystemExit(f"`{name}` would be {meant[name]} and {resources[method]}")
    return names


def resource(method: str) -> tuple[tuple[str, ...], str]:
    """The collections that say what a method is about, and its verb."""
    *nouns, verb = method.split(".")
    return tuple(noun for at, noun in enumerate(nouns) if noun not in CONTAINERS or at == len(nouns) - 1), verb


class Lock:
    """The lock's services, each with its actions by source id."""

    def __init__(self, text: str = ""):
        self.services: dict[str, dict[str, str]] = {}
        current = {}
        for line in text.splitlines():
            if line.startswith("["):
                current = self.services.setdefault(line.strip("[]"), {})
            elif line and not line.startswith("#"):
                name, _, source = line.partition(" ")
                current[source or name] = name

    @classmethod
    def read(cls, path: pathlib.Path) -> "Lock":
        return cls(path.read_text() if path.exists() else "")

    def add(self, service: str, source: str, name: str) -> None:
        if "unknown" in (service, name):
            raise SystemExit(f"`unknown` is what the filter calls what it does not know: {service} {source}")
        actions = self.services.setdefault(service, {})
        if actions.setdefault(source, name) != name:
            raise SystemExit(f"`{source}` of {service} would have two names")

    def text(self) -> str:
        lines = [HEADER]
        for service, actions in sorted(self.services.items()):
            lines.append(f"[{service}]\n")
            lines += [f"{name}\n" if name == source else f"{name} {source}\n" for source, name in sorted(actions.items())]
        return "".join(lines)

    def changes_to(self, other: "Lock") -> list[str]:
        """What policies written for this lock would lose by the other."""
        return [
            f"{service}: `{source}` was `{name}` and is `{other.services.get(service, {}).get(source, 'gone')}`"
            for service, actions in self.services.items()
            for source, name in actions.items()
            if other.services.get(service, {}).get(source) != name
        ]
