"""As much of BigQuery and of Cloud Storage as their clients need to go on, recorded."""

import base64
import json
import re
import sys

import google_crc32c
from record import Record, body_of, headers_of, serve

JOB = {"projectId": "p", "jobId": "j", "location": "EU"}
SCHEMA = {"fields": [{"name": "n", "type": "INTEGER"}]}
OBJECTS = {}


def resource(name):
    content = OBJECTS[name]
    crc32c = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
    return {"kind": "storage#object", "bucket": "b", "name": name, "size": str(len(content)), "crc32c": crc32c}


def query_job(_body):
    return {
        "jobReference": JOB,
        "status": {"state": "DONE"},
        "configuration": {"jobType": "QUERY", "query": {"query": "SELECT 1", "destinationTable": {
            "projectId": "p", "datasetId": "d", "tableId": "t"}}},
        "statistics": {"query": {"statementType": "SELECT"}},
    }


def load_job(_body):
    return {"jobReference": JOB, "status": {"state": "DONE"}, "configuration": {"jobType": "LOAD", "load": {}}}


def insert_job(body):
    return query_job(body) if "query" in json.loads(body)["configuration"] else load_job(body)


def results(_body):
    return {"jobComplete": True, "jobReference": JOB, "schema": SCHEMA, "totalRows": "1", "rows": [{"f": [{"v": "1"}]}]}


def multipart_upload(body):
    head, _, rest = body.partition(b"\r\n\r\n")
    metadata, _, rest = rest.partition(b"\r\n--")
    content = rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    name = json.loads(metadata)["name"]
    OBJECTS[name] = content
    return resource(name)


def download(_body):
    return OBJECTS["a/b c.txt"]


ROUTES = [
    ("POST", r"/bigquery/v2/projects/p/jobs", insert_job),
    ("GET", r"/bigquery/v2/projects/p/jobs/j", query_job),
    ("GET", r"/bigquery/v2/projects/p/queries/.*", results),
    ("POST", r"/bigquery/v2/projects/p/queries", results),
    ("GET", r"/bigquery/v2/projects/p/datasets", lambda _body: {"datasets": []}),
    ("GET", r"/bigquery/v2/projects/p/datasets/d/tables/t.*", results),
    ("POST", r"/upload/storage/v1/b/b/o", multipart_upload),
    ("GET", r"/download/storage/v1/b/b/o/.*", download),
    ("GET", r"/storage/v1/b/b/o", lambda _body: {"items": [resource(name) for name in OBJECTS]}),
    ("GET", r"/storage/v1/b/b", lambda _body: {"kind": "storage#bucket", "name": "b", "id": "b"}),
]


def application(environ, start_response):
    headers = headers_of(environ)
    method, target = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
    body = body_of(environ)
    RECORD.add(headers, host=headers["host"], target=target)
    path = target.partition("?")[0]
    for allowed, pattern, answer in ROUTES:
        if method == allowed and re.fullmatch(pattern, path):
            answer = answer(body)
            if isinstance(answer, bytes):
                checksum = base64.b64encode(google_crc32c.Checksum(answer).digest()).decode()
                start_response("200 OK", [("content-length", str(len(answer))), ("x-goog-hash", f"crc32c={checksum}")])
                return [answer]
            content = json.dumps(answer).encode()
            start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(content)))])
            return [content]
    start_response("404 Not Found", [("content-length", "0")])
    return [b""]


RECORD = Record(sys.argv[1])
serve(application)
