"""An MCP server, of the protocol's own library, recorded."""

import socket
import sys

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from record import Record

RECORD = Record(sys.argv[1])
server = MCPServer("files")


@server.tool()
def read_file(path: str, most: float = 1.5) -> str:
    """Reads a file."""
    return f"the content of {path}, {most}"


@server.tool()
def delete_file(path: str) -> str:
    """Deletes a file."""
    return f"{path} is gone"


@server.resource("file:///{name}")
def file(name: str) -> str:
    """A file."""
    return f"the content of {name}"


def recorded(application):
    async def call(scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            RECORD.add(headers, version=headers.get("mcp-protocol-version", ""))
        await application(scope, receive, send)

    return call


security = TransportSecuritySettings(allowed_hosts=["mcp.example:*"])
listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
application = recorded(server.streamable_http_app(transport_security=security))
uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listener])
