"""Google's clients of BigQuery and Cloud Storage as they come, over mTLS."""

import agent
from google.api_core.exceptions import Forbidden
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery, storage


def session():
    session = AuthorizedSession(AnonymousCredentials())
    session.cert = (agent.CERTIFICATE, agent.KEY)
    return session


def denied(call, *parameters):
    try:
        call(*parameters)
    except Forbidden as error:
        agent.tell(
            kind=type(error).__name__,
            code=error.code,
            text=error.message,
            decision_id=error.response.headers["x-hexr-decision-id"],
        )
    else:
        agent.tell(kind="nothing", call=str(call))


tables = bigquery.Client("p", AnonymousCredentials(), _http=session())
assert [row.n for row in tables.query("SELECT 1 AS n", retry=None, job_retry=None).result()] == [1]
by_query = tables.query("SELECT 1 AS n", api_method="QUERY", retry=None, job_retry=None)
assert [row.n for row in by_query.result()] == [1]
assert list(tables.list_datasets()) == []
denied(tables.delete_table, "p.d.t")
denied(tables.load_table_from_uri, "gs://b/x.csv", "p.d.t")
denied(tables.extract_table, "p.d.t", "gs://elsewhere/x.csv")

objects = storage.Client("p", AnonymousCredentials(), _http=session())
bucket = objects.get_bucket("b")
bucket.blob("a/b c.txt").upload_from_string("content")
assert bucket.blob("a/b c.txt").download_as_bytes() == b"content"
assert [blob.name for blob in bucket.list_blobs()] == ["a/b c.txt"]
denied(bucket.blob("a/b c.txt").delete)
