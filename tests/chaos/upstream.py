"""An MCP server reduced to what keeps a gateway busy: short answers, and event streams."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_EVENT = b"9\r\ndata: {}\n\r\n1\r\n\n\r\n"
_EVENT_SECONDS = 0.5


class Upstream:
    """Runs in a thread of its own, and keeps nothing. `/mcp/events` is a stream without end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


async def _stream(writer: asyncio.StreamWriter) -> None:
    writer.write(_STREAM)
    while not writer.is_closing():
        writer.write(_EVENT)
        await writer.drain()
        await asyncio.sleep(_EVENT_SECONDS)
