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


def fnv1a(text: str) -> int:
    """The hash by which the filter finds a text in the table."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
