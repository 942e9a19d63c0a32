"""As much of Pub/Sub as a publisher needs to go on, over gRPC, recorded."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.pubsub_v1.types import GetTopicRequest, PublishRequest, PublishResponse, Topic
from record import Record

RECORD = Record(sys.argv[1])


def recorded(answer):
    def call(request, context):
        RECORD.add(dict(context.invocation_metadata()))
        return answer(request)

    return call


def method(answer, request, response):
    return grpc.unary_unary_rpc_method_handler(recorded(answer), request.deserialize, response.serialize)


METHODS = {
    "CreateTopic": method(lambda topic: topic, Topic, Topic),
    "GetTopic": method(lambda request: Topic(name=request.topic), GetTopicRequest, Topic),
    "Publish": method(lambda _request: PublishResponse(message_ids=["1"]), PublishRequest, PublishResponse),
}

server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", METHODS)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listening on 127.0.0.1:{port}", flush=True)
server.wait_for_termination()
