"""What a server saw of the requests that reached it, a line of JSON each."""

import json
import threading

LOCK = threading.Lock()


class Record:
    def __init__(self, path):
        self.path = path

    def add(self, headers, **facts):
        """Enters a request by its headers, whose names are in lower case."""
        seen = {key: headers.get(f"x-hexr-{key}", "") for key in ("service", "action", "role", "decision-id")}
        with LOCK, open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**seen, **facts}) + "\n")


def headers_of(environ):
    """The headers of a WSGI request."""
    names = {
        key: key.removeprefix("HTTP_").replace("_", "-").lower()
        for key in environ
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return {name: environ[key] for key, name in names.items()}


def body_of(environ):
    """The whole body of a WSGI request."""
    stream = environ["wsgi.input"]
    is_chunked = environ.get("wsgi.input_terminated")
    return stream.read() if is_chunked else stream.read(int(environ.get("CONTENT_LENGTH") or 0))


def serve(application):
    """Serves a WSGI application on a free port, and says which."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
