"""An ordinary MCP server on FastMCP, with the tools that ../story.py calls."""

from __future__ import annotations

import asyncio
import json
import socket

import uvicorn
from fastmcp import Context, FastMCP

server = FastMCP("harness")
cancelled_so_far = 0


@server.tool
def echo(text: str) -> str:
    """Returns the text."""
    return text


@server.tool
async def count(ctx: Context, to: int, milliseconds_apart: int) -> str:
    """Counts slowly, with a progress notification for each step."""
    global cancelled_so_far
    try:
        for step in range(1, to + 1):
            await ctx.report_progress(step, to)
            await asyncio.sleep(milliseconds_apart / 1000)
    except asyncio.CancelledError:
        cancelled_so_far += 1
        raise
    return f"counted to {to}"


@server.tool
def cancelled() -> str:
    """The number of counts that were cancelled."""
    return str(cancelled_so_far)


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server.http_app(path="/mcp"), log_level="warning", timeout_graceful_shutdown=1)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(config).run(sockets=[listening])
