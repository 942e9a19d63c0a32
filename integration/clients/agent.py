"""What an agent's machine does for all of its clients, which are not changed: every name leads to Envoy."""

import json
import os
import socket

ENVOY_PORT = int(os.environ["ENVOY_PORT"])
CERTIFICATE = os.environ["CERTIFICATE"]
KEY = os.environ["KEY"]

resolve = socket.getaddrinfo


def resolve_to_envoy(_host, _port, *args, **kwargs):
    return resolve("127.0.0.1", ENVOY_PORT, *args, **kwargs)


socket.getaddrinfo = resolve_to_envoy


def tell(**facts):
    """One line for the test."""
    print(json.dumps(facts), flush=True)
