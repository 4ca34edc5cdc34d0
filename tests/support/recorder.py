"""An upstream that keeps exactly what reached it, byte for byte, and sends it back as JSON.

`/sse` answers with a stream whose events the test releases one by one. A request is found again
by its `x-test-id` header.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
from collections import defaultdict
from dataclasses import dataclass

from .loop_server import LoopServer

_numbers = itertools.count(1)


def new_test_id() -> str:
    """An `x-test-id`: marks one request in recorder and access log."""
    return f"{os.getpid()}-{next(_numbers)}"


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    """In the order of arrival, names as spelled on the wire."""
    body: bytes

    def all(self, name: str) -> list[str]:
        wanted = name.lower().encode()
        return [value.decode("latin-1") for one, value in self.headers if one.lower() == wanted]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    @property
    def method(self) -> str:
        return self.line.split(b" ")[0].decode("latin-1")

    @property
    def target(self) -> str:
        return self.line.split(b" ")[1].decode("latin-1")


class Recorder(LoopServer):
    """Runs in a thread of its own; every public method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, list[Recorded]] = defaultdict(list)
        self._all: list[Recorded] = []
        self._streams: dict[str, asyncio.Queue[bytes | None]] = {}
        self._answers: dict[str, bytes] = {}
        super().__init__()

    def seen(self, test_id: str) -> list[Recorded]:
        """Every request with this `x-test-id` that has arrived."""
        with self._lock:
            return list(self._by_id.get(test_id, ()))

    def one(self, test_id: str) -> Recorded:
        """The only request with this id; AssertionError if there are none or several."""
        seen = self.seen(test_id)
        assert len(seen) == 1, f"{len(seen)} requests with id {test_id} reached the upstream"
        return seen[0]

    def everything(self) -> list[Recorded]:
        """All requests, those without an `x-test-id` included."""
        with self._lock:
            return list(self._all)

    def answer(self, test_id: str, response: bytes) -> None:
        """Has a request with this id answered with these bytes, which must say where they end."""
        with self._lock:
            self._answers[test_id] = response

    def send_piece(self, test_id: str, piece: bytes) -> None:
        """Sends bytes on the open `/sse` stream of this request."""
        self._put(test_id, piece)

    def send_event(self, test_id: str, data: str) -> None:
        """Sends one event on the open `/sse` stream of this request."""
        self._put(test_id, f"data: {data}\n\n".encode())

    def end_stream(self, test_id: str) -> None:
        self._put(test_id, None)

    def has_stream(self, test_id: str) -> bool:
        with self._lock:
            return test_id in self._streams

    def _put(self, test_id: str, piece: bytes | None) -> None:
        with self._lock:
            queue = self._streams[test_id]
        self._loop.call_soon_threadsafe(queue.put_nowait, piece)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (recorded := await read_request(reader)) is not None:
                test_id = recorded.header("x-test-id") or ""
                with self._lock:
                    self._all.append(recorded)
                    self._by_id[test_id].append(recorded)
                if recorded.target.split("?")[0].endswith("/sse"):
                    await self._stream(test_id, reader, writer)
                    return
                # The connection stays open: were it closed unannounced, Envoy might send the next
                # request on it, and answer that with a 503.
                writer.write(self._answers.get(test_id) or _echo(recorded))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _stream(
        self, test_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        with self._lock:
            self._streams[test_id] = queue
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        # It is closed behind a stream; announced, lest Envoy send the next request on it.
        writer.write(b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        gone = asyncio.ensure_future(reader.read(1))
        try:
            while True:
                await writer.drain()
                piece = asyncio.ensure_future(queue.get())
                await asyncio.wait({piece, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not piece.done():
                    piece.cancel()
                    return
                data = piece.result()
                if data is None:
                    writer.write(b"0\r\n\r\n")
                    await writer.drain()
                    return
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        finally:
            gone.cancel()
            with self._lock:
                self._streams.pop(test_id, None)


async def read_request(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head[:-4].split(b"\r\n")
    headers = [
        (name, value.strip(b" \t")) for name, _, value in (one.partition(b":") for one in rest)
    ]
    lower = {name.lower(): value for name, value in headers}
    if lower.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(lower.get(b"content-length", b"0")))
    return Recorded(line, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body


def _echo(recorded: Recorded) -> bytes:
    text = json.dumps(
        {
            "line": recorded.line.decode("latin-1"),
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in recorded.headers],
            "body": recorded.body.decode("latin-1"),
        }
    ).encode()
    if recorded.method == "HEAD":
        text = b""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-upstream: recorder\r\n"
        b"content-length: %d\r\n\r\n" % len(text)
    ) + text
