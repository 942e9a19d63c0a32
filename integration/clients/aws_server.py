"""Moto's server, that records what it is asked, and whether the signature still fits the request."""

import hashlib
import hmac
import io
import logging
import re
import sys
import urllib.parse

from moto.core.config import default_user_config
from moto.server import DomainDispatcherApplication, create_backend_app
from record import Record, body_of, headers_of, serve

SECRET = "secret"
SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d+)/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)")


class Recorded:
    def __init__(self, application, record):
        self.application = application
        self.record = record

    def __call__(self, environ, start_response):
        headers = headers_of(environ)
        body = body_of(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        self.record.add(
            headers,
            host=headers["host"],
            is_signed=is_signed(environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers, body),
        )
        return self.application(environ, start_response)


def is_signed(method, target, headers, body):
    """Whether the signature is of this very request, as it arrived."""
    found = SCOPE.fullmatch(headers.get("authorization", ""))
    if not found:
        return False
    date, region, service, names, signature = found.groups()
    path, _, query = target.partition("?")
    if service != "s3":
        path = urllib.parse.quote(path, safe="/~")
    pairs = sorted(pair if "=" in pair else pair + "=" for pair in query.split("&") if pair)
    lines = [f"{name}:{' '.join(headers[name].split())}\n" for name in names.split(";")]
    payload = headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    request = "\n".join([method, path, "&".join(pairs), "".join(lines), names, payload])
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{date}/{region}/{service}/aws4_request\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in (date, region, service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex(), signature)


logging.getLogger("werkzeug").setLevel(logging.WARNING)
default_user_config["lambda"]["use_docker"] = False
serve(Recorded(DomainDispatcherApplication(create_backend_app), Record(sys.argv[1])))
