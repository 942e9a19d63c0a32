"""Google's client of Pub/Sub as it comes, by gRPC over mTLS."""

from pathlib import Path

import agent
import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

HOST = "pubsub.googleapis.com"


def channel():
    key, certificate = [Path(file).read_bytes() for file in (agent.KEY, agent.CERTIFICATE)]
    credentials = grpc.ssl_channel_credentials(None, key, certificate)
    # gRPC resolves names itself: here it is told what the name leads to.
    options = [("grpc.default_authority", HOST), ("grpc.ssl_target_name_override", HOST)]
    return grpc.secure_channel(f"127.0.0.1:{agent.ENVOY_PORT}", credentials, options)


publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel()))
TOPIC = "projects/p/topics/t"
assert publisher.create_topic(name=TOPIC).name == TOPIC
assert publisher.get_topic(topic=TOPIC).name == TOPIC
assert publisher.publish(topic=TOPIC, messages=[{"data": b"x"}]).message_ids == ["1"]
try:
    publisher.delete_topic(topic=TOPIC, retry=None)
except GoogleAPICallError as error:
    headers = dict(error.errors[0].initial_metadata() or []) | dict(error.errors[0].trailing_metadata() or [])
    agent.tell(
        kind=type(error).__name__,
        code=error.grpc_status_code.name,
        text=error.message,
        decision_id=headers.get("x-hexr-decision-id"),
    )
else:
    agent.tell(kind="nothing")
