"""The wheels that the catalog is made of: read as archives, never installed or imported."""

import gzip
import hashlib
import json
import pathlib
import re
import zipfile


class Wheel:
    """One downloaded wheel of a package."""

    def __init__(self, folder: pathlib.Path, package: str):
        stem = package.replace("-", "_")
        found = sorted(folder.glob(f"{stem}-*.whl"))
        if len(found) != 1:
            raise SystemExit(f"{folder} must have one wheel of {package}, but has {len(found)}")
        self.package = package
        self.version = found[0].name.split("-")[1]
        self.sha256 = hashlib.sha256(found[0].read_bytes()).hexdigest()
        self.archive = zipfile.ZipFile(found[0])

    def names(self, pattern: str) -> list[str]:
        return sorted(name for name in self.archive.namelist() if re.fullmatch(pattern, name))

    def text(self, name: str) -> str:
        return self.archive.read(name).decode()

    def json(self, name: str):
        content = self.archive.read(name)
        return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)


def text_hash(text: str) -> int:
    """The hash by which the filter finds a text in the table: eight bytes at a time."""
    content = text.encode()
    value = len(content)
    for at in range(0, len(content), 8):
        word = int.from_bytes(content[at : at + 8], "little")
        value = ((value ^ word) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 32
    return value
