"""An ordinary MCP server on the official SDK that knows nothing of authorization.

`python -m support.mcp_server` serves /mcp, and /mcp/sse for 2024-11-05, on a free port and prints {"port"} once it listens.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any, Self

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .processes import Child

IDENTITY_HEADERS = ("x-mcp-sub", "x-mcp-client-id", "x-mcp-scope", "x-mcp-issuer")


class McpServer:
    """The server of `serve` below, in a process of its own."""

    def __init__(self, directory: Path, *hosts: str) -> None:
        """`hosts`: public names, which the SDK's server refuses unless it is told of them (421)."""
        self._child = Child(
            "mcp-server",
            [sys.executable, "-m", "support.mcp_server", *hosts],
            directory,
            environment={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )
        try:
            self.port: int = self._child.first_json_line()["port"]
        except BaseException:
            self._child.stop()
            raise

    def log(self) -> str:
        return self._child.log()

    def stop(self) -> None:
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve() -> None:
    server = MCPServer("harness", instructions="A server without any authorization of its own.")

    @server.tool()
    def echo(text: str) -> str:
        """Returns the text."""
        return text

    @server.tool()
    def whoami(ctx: Context) -> dict[str, Any]:
        """What the gateway said about the caller."""
        headers = ctx.headers or {}
        found: dict[str, Any] = {name: headers.get(name) for name in IDENTITY_HEADERS}
        found["authorization_reached_the_server"] = "authorization" in headers
        return found

    @server.tool()
    async def count(ctx: Context, to: int, milliseconds_apart: int = 100) -> str:
        """Counts slowly, with a progress notification for each step."""
        for step in range(1, to + 1):
            await ctx.report_progress(step, to, f"step {step}")
            await asyncio.sleep(milliseconds_apart / 1000)
        return f"counted to {to}"

    @server.tool()
    async def announce(ctx: Context) -> str:
        """Says that the list of tools has changed, on the stream that listens for it."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await ctx.notify_tools_changed()  # to subscriptions/listen
        else:
            await ctx.session.send_tool_list_changed()  # to the session's GET stream
        return "announced"

    listening = socket.create_server(("127.0.0.1", 0))
    security = None
    if sys.argv[1:]:
        origins = ["http://localhost:*"]
        security = TransportSecuritySettings(allowed_hosts=sys.argv[1:], allowed_origins=origins)
    app = server.streamable_http_app(streamable_http_path="/mcp", transport_security=security)
    # HTTP with SSE, of 2024-11-05.
    sse = server.sse_app(sse_path="/mcp/sse", message_path="/mcp/messages/")
    app.router.routes.extend(sse.routes)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve()
