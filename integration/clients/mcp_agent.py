"""The client of the protocol's own library as it comes, over mTLS, in both ways to begin."""

import asyncio
import ssl

import agent
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


# This client resolves a name, but takes the port from the URL.
URL = f"https://mcp.example:{agent.ENVOY_PORT}/mcp"


def http_client():
    context = ssl.create_default_context()
    context.load_cert_chain(agent.CERTIFICATE, agent.KEY)
    return httpx2.AsyncClient(verify=context, timeout=20)


async def denied(call, *parameters):
    try:
        result = await call(*parameters)
    except MCPError as error:
        data = error.error.data
        agent.tell(kind=type(error).__name__, code=error.error.code, text=error.error.message, **data)
    else:
        agent.tell(kind="nothing", result=str(result))


async def use(mode):
    async with http_client() as http:
        transport = streamable_http_client(URL, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=20) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == {"read_file", "delete_file"}
            result = await client.call_tool("read_file", {"path": "/public/a", "most": 0.5})
            assert result.content[0].text == "the content of /public/a, 0.5", result
            await client.read_resource("file:///a")
            await denied(client.call_tool, "delete_file", {"path": "/public/a"})
            await denied(client.call_tool, "read_file", {"path": "/secret/a"})
            result = await client.call_tool("read_file", {"path": "/public/b"})
            assert result.content[0].text == "the content of /public/b, 1.5", result


for mode in ("2026-07-28", "legacy"):
    asyncio.run(use(mode))
