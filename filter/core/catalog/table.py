"""The binary table. `src/catalog/table` reads it where it lies; both say what stands where.

Numbers are little-endian. Texts are numbered in a dictionary with a hash index. Names of actions are sequences of
words. Routes and hosts are tries of nodes that refer to each other by offset, equal ones shared.
"""

import collections
import re
import struct

from model import GREEDY, LABEL, METHODS, REGION, Api, Route
from sources import text_hash

MAGIC = b"HXC1"
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|.")
# Names begin with their number of words; a word is one byte below 128, or two.
ONE_BYTE_WORDS = 128
LONGEST_NAME = 128
LONG_GROUP = 31
EXCLUSIVE_HEADER = "x-amz-copy-source"

HAS_LABEL, HAS_GREEDY, HAS_REGION, HAS_LITERALS = 1, 2, 4, 8
HAS_CONDITIONS, HAS_RULE = 1, 2


def u24(value: int) -> bytes:
    if value >= 1 << 24:
        raise SystemExit("an offset does not fit")
    return struct.pack("<I", value)[:3]


def group_head(method: int, length: int) -> bytes:
    """The method in three bits and the length in five, or behind them where it is longer."""
    if length < LONG_GROUP:
        return bytes([method | length << 3])
    return bytes([method | LONG_GROUP << 3]) + struct.pack("<H", length)


class Texts:
    """Texts by number, in the order of their first use."""

    def __init__(self):
        self.numbers = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def sections(self) -> list[bytes]:
        texts = [text.encode() for text in self.numbers]
        offsets, at = [], 0
        for text in texts:
            offsets.append(at)
            at += len(text)
        # Most of what is looked up is not there, which shows at the first free slot: at least half of them are.
        slots = 1
        while slots < len(texts) * 2:
            slots *= 2
        index = [0] * slots
        for number, text in enumerate(self.numbers):
            slot = text_hash(text) % slots
            while index[slot]:
                slot = (slot + 1) % slots
            index[slot] = number + 1
        if len(texts) >= 0xFFFF:
            raise SystemExit("too many texts")
        return [
            b"".join(u24(offset) for offset in [*offsets, at]),
            b"".join(texts),
            struct.pack(f"<{slots}H", *index),
        ]


class Names:
    """Names as words: they share most of them."""

    def __init__(self, names: set[str]):
        split = {name: WORD.findall(name) for name in names}
        counts = collections.Counter(word for words in split.values() for word in words)
        words = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
        numbers = {word: number for number, word in enumerate(words)}
        self.words = [word.encode() for word in words]
        self.offsets, self.stream = {}, bytearray()
        for name in sorted(names):
            self.offsets[name] = len(self.stream)
            self.stream.append(len(split[name]))
            for word in split[name]:
                number = numbers[word]
                if number < ONE_BYTE_WORDS:
                    self.stream.append(number)
                else:
                    self.stream += struct.pack(">H", 0x8000 | number)

    def sections(self) -> list[bytes]:
        offsets, at = [], 0
        for word in self.words:
            offsets.append(at)
            at += len(word)
        if at > 0xFFFF or len(self.words) > 0x7FFF:
            raise SystemExit("too many words")
        return [struct.pack(f"<{len(offsets) + 1}H", *offsets, at), b"".join(self.words), bytes(self.stream)]


class Node:
    """A node of a trie while it grows."""

    def __init__(self):
        self.children: dict[str, Node] = {}
        self.leaves: list = []

    def at(self, path: tuple[str, ...]) -> "Node":
        node = self
        for piece in path:
            node = node.children.setdefault(piece, Node())
        return node


class Table:
    """Everything, as bytes."""

    def __init__(self, apis: list[Api]):
        self.texts = Texts()
        self.texts.number("")
        # The texts that conditions are about come first: the filter looks at no other key of a query.
        # Of these the exclusive ones come first, which are all of one service.
        exclusive = {api.exclusive for api in apis if api.exclusive}
        if len(exclusive) != 1 or [key for key in min(exclusive) if key.startswith("x-")] != [EXCLUSIVE_HEADER]:
            raise SystemExit("the filter knows one list of exclusive keys, with one header")
        for key in min(exclusive):
            self.texts.number(key)
        keys = {condition.key for api in apis for route in api.routes for condition in route.conditions}
        for key in sorted(keys):
            self.texts.number(key)
        significant = len(self.texts.numbers)
        # Custom verbs stand together, so that the filter sees by its numbers whether a node has any.
        for piece in sorted({piece for api in apis for route in api.routes for piece in route.path}):
            if piece.startswith(":"):
                self.texts.number(piece)
        names = {route.name for api in apis for route in api.routes}
        names |= {name for api in apis for name in api.operations}
        if max(map(len, names)) > LONGEST_NAME:
            raise SystemExit("a name is too long")
        self.names = Names(names)
        self.nodes, self.known_nodes = bytearray(), {}
        self.conditions, self.known_conditions = bytearray(b"\0"), {}
        self.lists, self.known_lists = bytearray(b"\0"), {}
        self.operations = bytearray()
        # Offset 0 is no node.
        self.nodes.append(0)
        records = b"".join(self.api(api) for api in apis)
        hosts = Node()
        for number, api in enumerate(apis):
            for host in sorted(api.hosts):
                hosts.at(tuple(reversed(host))).leaves.append(number)
        root = self.node(hosts, lambda leaves: b"".join(struct.pack("<H", leaf) for leaf in sorted(set(leaves))))
        sections = [
            *self.texts.sections(), *self.names.sections(), bytes(self.nodes), bytes(self.conditions),
            bytes(self.lists), bytes(self.operations), records,
        ]
        head = MAGIC + struct.pack("<III", root, significant, len(sections))
        at = len(head) + 4 * (len(sections) + 1)
        for section in sections:
            head += struct.pack("<I", at)
            at += len(section)
        self.bytes = head + struct.pack("<I", at) + b"".join(sections)
        self.sizes = [len(section) for section in sections]

    def api(self, api: Api) -> bytes:
        root = 0
        if api.routes:
            trie = Node()
            for route in api.routes:
                trie.at(route.path).leaves.append(route)
            root = self.node(trie, self.route_leaves)
        start = len(self.operations) // 3
        for name in sorted(api.operations):
            self.operations += u24(self.names.offsets[name])
        number = self.texts.number
        return struct.pack("<HH", number(api.service), api.flags) + u24(root) + u24(start) + struct.pack(
            "<HHHHHH", len(api.operations), number(api.target_prefix), number(api.version),
            number(api.cbor_service), len(api.exclusive), self.text_list(tuple(sorted(api.signing))),
        )

    def text_list(self, texts: tuple[str, ...]) -> int:
        if not texts:
            return 0
        if texts not in self.known_lists:
            self.known_lists[texts] = len(self.lists)
            self.lists.append(len(texts))
            for text in texts:
                self.lists += struct.pack("<H", self.texts.number(text))
        return self.known_lists[texts]

    def condition_list(self, conditions: tuple) -> int:
        if conditions not in self.known_conditions:
            self.known_conditions[conditions] = len(self.conditions)
            self.conditions.append(len(conditions))
            for condition in conditions:
                key, value = self.texts.number(condition.key), self.texts.number(condition.value)
                self.conditions += struct.pack("<BHH", condition.kind, key, value)
        return self.known_conditions[conditions]

    def route_leaves(self, routes: list[Route]) -> bytes:
        seen = {}
        for route in sorted(routes, key=lambda route: (route.method, route.name, repr(route.conditions))):
            key = (route.method, route.conditions)
            if seen.setdefault(key, (route.name, route.rule)) != (route.name, route.rule):
                raise SystemExit(f"{route.method} {'/'.join(route.path)} is {seen[key]} and {route.name}")
        groups = collections.defaultdict(bytes)
        for (method, conditions), (name, rule) in seen.items():
            leaf = bytes([(HAS_CONDITIONS if conditions else 0) | (HAS_RULE if rule else 0)])
            leaf += struct.pack("<H", self.condition_list(conditions)) if conditions else b""
            leaf += bytes([rule]) if rule else b""
            groups[METHODS.index(method)] += leaf + u24(self.names.offsets[name])
        # How long a group is stands before it, so that those of other methods are passed over.
        return b"".join(group_head(method, len(leaves)) + leaves for method, leaves in sorted(groups.items()))

    def node(self, node: Node, leaves) -> int:
        """Writes a node below its children, and gives its offset; an equal one that stands already is taken."""
        children = {piece: self.node(child, leaves) for piece, child in sorted(node.children.items())}
        flags, head = 0, b""
        for piece, flag in ((LABEL, HAS_LABEL), (GREEDY, HAS_GREEDY), (REGION, HAS_REGION)):
            if piece in children:
                flags |= flag
                head += u24(children.pop(piece))
        literals = sorted((self.texts.number(piece), child) for piece, child in children.items())
        if literals:
            flags |= HAS_LITERALS
            head += struct.pack("<H", len(literals))
            head += struct.pack(f"<{len(literals)}H", *(number for number, _ in literals))
            head += b"".join(u24(child) for _, child in literals)
        written = leaves(node.leaves)
        if len(written) > 0xFFFF:
            raise SystemExit("too many leaves at one node")
        content = bytes([flags]) + head + struct.pack("<H", len(written)) + written
        if content not in self.known_nodes:
            self.known_nodes[content] = len(self.nodes)
            self.nodes += content
        return self.known_nodes[content]
