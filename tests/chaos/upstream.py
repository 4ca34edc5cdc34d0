"""An MCP server reduced to what keeps a gateway busy: short answers, and event streams."""

from __future__ import annotations

import asyncio
import contextlib

from support.loop_server import LoopServer

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_EVENT = b"9\r\ndata: {}\n\r\n1\r\n\n\r\n"
_EVENT_SECONDS = 0.5


class Upstream(LoopServer):
    """Runs in a thread of its own, and keeps nothing. `/mcp/events` is a stream without end."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            while True:
                line, *rest = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                headers = dict(one.partition(b":")[::2] for one in rest)
                if b"/events" in line:
                    await _stream(writer)
                    break
                await reader.readexactly(int(headers.get(b"content-length", b"0")))
                writer.write(_ANSWER)
                await writer.drain()
        writer.close()


async def _stream(writer: asyncio.StreamWriter) -> None:
    writer.write(_STREAM)
    while not writer.is_closing():
        writer.write(_EVENT)
        await writer.drain()
        await asyncio.sleep(_EVENT_SECONDS)
