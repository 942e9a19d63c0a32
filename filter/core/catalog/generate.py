#!/usr/bin/env python3
"""Makes the catalog that the filter has built in, from the clouds' own API models.

    python3 -m pip download --no-deps --require-hashes --requirement requirements.txt --dest WHEELS
    python3 generate.py --wheels WHEELS            # writes catalog.bin, names.lock and sources.json
    python3 generate.py --wheels WHEELS --check    # compares them with what stands here

A name that policies use never changes silently: one that would is named, and needs `--change-names`.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys

import aws
import google
import grpc
import models
from naming import Lock
from sources import Wheel
from table import Table

HERE = pathlib.Path(__file__).resolve().parent
# All others of `requirements.txt` are Google's clients, which say what its gRPC methods are by REST.
PACKAGES = ["botocore", "google-api-python-client", "openai", "anthropic"]
LARGEST = 1 << 20


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--wheels", type=pathlib.Path, required=True)
    arguments.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments.add_argument("--change-names", action="store_true", help="accept names that change or go")
    options = arguments.parse_args()
    required = re.findall(r"^([\w-]+)==", (HERE / "requirements.txt").read_text(), re.MULTILINE)
    wheels = {package: Wheel(options.wheels, package) for package in required}
    locked, lock = Lock.read(HERE / "names.lock"), Lock()
    apis = aws.read(wheels["botocore"])
    for api in apis:
        for name in api.operations | {route.name for route in api.routes}:
            lock.add(api.service, name, name)
    of_google = google.read(wheels["google-api-python-client"], locked, lock)
    grpc.add([wheel for package, wheel in wheels.items() if package not in PACKAGES], of_google)
    apis += of_google
    apis += models.read(wheels["openai"], wheels["anthropic"], lock)
    lost = locked.changes_to(lock)
    if lost and not options.change_names:
        print("names that policies may use would change (`--change-names` accepts it):", *lost, sep="\n  ")
        return 1
    table = Table(apis)
    if len(table.bytes) > LARGEST:
        print(f"the table would have {len(table.bytes)} bytes, and may have {LARGEST}")
        return 1
    sources = {
        "sources": {
            wheel.package: {"version": wheel.version, "sha256": wheel.sha256, "license": "Apache-2.0"}
            for wheel in wheels.values()
        },
        "table": {"bytes": len(table.bytes), "sha256": hashlib.sha256(table.bytes).hexdigest()},
        "services": len(lock.services),
        "names": sum(len(set(actions.values())) for actions in lock.services.values()),
    }
    files = {
        "catalog.bin": table.bytes,
        "names.lock": lock.text().encode(),
        "sources.json": (json.dumps(sources, indent=2) + "\n").encode(),
    }
    different = [name for name, content in files.items() if not same(HERE / name, content)]
    if options.check:
        for name in different:
            print(f"{name} is not what {pathlib.Path(__file__).name} makes of the sources")
        return 1 if different else 0
    for name in different:
        (HERE / name).write_bytes(files[name])
    print(f"{len(table.bytes)} bytes, sections {table.sizes}, {sources['services']} services, {sources['names']} names")
    return 0


def same(path: pathlib.Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


if __name__ == "__main__":
    sys.exit(main())
