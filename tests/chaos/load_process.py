"""The load generator: requests at a fixed rate over connections that stay open.

The rate does not depend on the answers. A request that is due while every connection waits for an
answer is sent when one is free, and its latency counts from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
from collections import deque
from pathlib import Path

from .control import CHALLENGED, LOST, RECORD, RETRIED, RETRY_AFTER, ControlBlock, Lane, Orders

_FLUSH_SECONDS = 0.05
_ANSWER_SECONDS = 20.0
"""After this long a request counts as lost."""
_RECONNECT_SECONDS = 0.02
_MOST_REASONS = 200


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, owner: Generator, number: int) -> None:
        self.owner = owner
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.request: Request | None = None
        self.answers = 0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.owner.is_free(self)

    def send(self, request: Request) -> None:
        assert self.transport is not None
        self.request = request
        self.transport.write(request.text)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(_header(head, b"content-length") or b"0")
        if len(self._received) < end + 4 + length:
            return
        body, self._received = self._received[end + 4 :], b""
        closing = _header(head, b"connection") == b"close"
        request, self.request = self.request, None
        self.answers += 1
        if request is not None:
            self.owner.answered(request, self, head, body)
        if closing:
            self.close()
        else:
            self.owner.is_free(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        request, self.request = self.request, None
        self.owner.is_gone(self, request, answer_begun=bool(self._received))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Request:
    """One request under way."""

    __slots__ = ("due", "flags", "generation", "lane", "sent", "text")

    def __init__(self, due: float, lane: int, generation: int, text: bytes) -> None:
        self.due = due
        self.sent = 0.0
        self.lane = lane
        self.generation = generation
        self.text = text
        self.flags = 0


class Generator:
    def __init__(self, directory: Path, port: int, connections: int) -> None:
        self._control = ControlBlock(directory / "control")
        self._results = (directory / "results").open("wb")
        self._reason_file = (directory / "reasons").open("w")
        self._reasons: dict[bytes, int] = {b"": 0}
        print("", file=self._reason_file, flush=True)
        self._port = port
        self._wanted = connections
        self._version = -1
        self._orders = Orders(0, 1.0, [])
        self._texts: list[bytes] = []
        self._turn = 0
        self._due: deque[float] = deque()
        self._again: deque[Request] = deque()
        self._free: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._under_way: set[Connection] = set()
        self._records = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self._parent = os.getppid()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._connect(number) for number in range(self._wanted)))
        print(json.dumps({"connections": self._wanted}), flush=True)
        next_due = flushed = self._loop.time()
        while True:
            self._heed_orders()
            now = self._loop.time()
            if self._orders.stop and not self._under_way and not self._again:
                break
            while not self._orders.stop and next_due <= now:
                self._due.append(next_due)
                next_due += 1 / self._orders.rate
            if self._orders.stop:
                self._due.clear()
            self._serve()
            if now - flushed >= _FLUSH_SECONDS:
                flushed = now
                self._flush()
                self._give_up_on_late_ones(now)
            await asyncio.sleep(min(max(0.0005, next_due - now), _FLUSH_SECONDS))
        self._flush()

    def is_free(self, connection: Connection) -> None:
        self._open.add(connection)
        self._under_way.discard(connection)
        self._free.append(connection)
        self._serve()

    def is_gone(
        self, connection: Connection, request: Request | None, *, answer_begun: bool
    ) -> None:
        self._open.discard(connection)
        self._under_way.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if request is not None:
            # A server may close an idle connection just when a request is on its way there: every
            # client sends such a request once more (RFC 9110 section 9.2.2).
            if connection.answers and not answer_begun and not request.flags & RETRIED:
                request.flags |= RETRIED
                self._again.append(request)
            else:
                self._note(request, connection, LOST, b"closed without an answer")
        if not self._orders.stop or self._again:
            task = self._loop.create_task(self._connect(connection.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def answered(self, request: Request, connection: Connection, head: bytes, body: bytes) -> None:
        status = int(head[9:12])
        reason = b""
        if status != 200:
            if _header(head, b"retry-after") is not None:
                request.flags |= RETRY_AFTER
            if _header(head, b"www-authenticate") is not None:
                request.flags |= CHALLENGED
            reason = _reason(body)
        self._note(request, connection, status, reason)

    async def _connect(self, number: int) -> None:
        while True:
            try:
                await self._loop.create_connection(
                    lambda: Connection(self, number), "127.0.0.1", self._port
                )
                return
            except OSError:
                if self._orders.stop:
                    return
                await asyncio.sleep(_RECONNECT_SECONDS)

    def _heed_orders(self) -> None:
        if self._control.version() != self._version:
            self._version, self._orders = self._control.read()
            self._texts = [_text(lane.token, lane.body_bytes) for lane in self._orders.lanes]

    def _serve(self) -> None:
        while self._free and (self._again or self._due):
            self._heed_orders()
            connection = self._free.popleft()
            request = self._again.popleft() if self._again else self._next_request()
            request.sent = self._loop.time()
            self._under_way.add(connection)
            connection.send(request)

    def _next_request(self) -> Request:
        number = self._turn % len(self._texts)
        self._turn += 1
        lane = self._orders.lanes[number]
        if lane.stranger_alg:
            text = _text(_stranger(lane))
        elif lane.invented:
            text = _text(f"invented_{os.urandom(16).hex()}")
        else:
            text = self._texts[number]
        return Request(self._due.popleft(), number, self._orders.generation, text)

    def _give_up_on_late_ones(self, now: float) -> None:
        if os.getppid() != self._parent:
            sys.exit("nobody reads the results any more")
        for connection in list(self._under_way):
            request = connection.request
            if request is not None and now - request.sent > _ANSWER_SECONDS:
                connection.request = None
                self._note(request, connection, LOST, b"no answer in time")
                connection.close()

    def _note(self, request: Request, connection: Connection, status: int, reason: bytes) -> None:
        if reason not in self._reasons:
            if len(self._reasons) >= _MOST_REASONS:
                reason = b""
            else:
                self._reasons[reason] = len(self._reasons)
                print(reason.decode("latin-1"), file=self._reason_file, flush=True)
        self._records += RECORD.pack(
            request.due,
            request.sent,
            self._loop.time(),
            status,
            request.lane,
            request.generation,
            connection.number,
            request.flags,
            self._reasons[reason],
        )

    def _flush(self) -> None:
        self._results.write(self._records)
        self._results.flush()
        self._records.clear()


def _text(token: str, body_bytes: int = 0) -> bytes:
    head = f"/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n".encode()
    if not body_bytes:
        return b"GET " + head + b"\r\n"
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"%s"}}' % (b"x" * body_bytes)
    return b"POST %scontent-length: %d\r\n\r\n%s" % (head, len(body), body)


def _stranger(lane: Lane) -> str:
    header = {"alg": lane.stranger_alg, "typ": "at+jwt", "kid": f"stranger-{os.urandom(8).hex()}"}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{encoded}.{lane.stranger_payload}.{'A' * 86}"


def _header(head: bytes, name: bytes) -> bytes | None:
    begin = head.find(b"\r\n" + name + b":")
    if begin < 0:
        return None
    begin += len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else None].strip()


def _reason(body: bytes) -> bytes:
    """One line: the error's description, or the text itself."""
    try:
        described = str(json.loads(body)["error_description"]).encode("latin-1", "replace")
    except (ValueError, KeyError, TypeError):
        described = body
    return described[:100].replace(b"\n", b" ").replace(b"\r", b" ")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("port", type=int)
    arguments.add_argument("connections", type=int)
    given = arguments.parse_args()
    asyncio.run(Generator(given.directory, given.port, given.connections).run())


if __name__ == "__main__":
    main()
