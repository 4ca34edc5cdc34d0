"""Requests at a steady rate, from a process of their own, over connections that are kept.

A request's latency runs from when it was due: a server that stalls is not spared the requests that
it kept from being sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

LOST = 0
"""In place of the status of a request that was never answered."""


@dataclass
class Answer:
    due: float
    status: int
    latency: float


@dataclass
class Result:
    answers: list[Answer] = field(default_factory=list)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def latencies(self, begin: float = 0.0, end: float = float("inf")) -> list[float]:
        return [one.latency for one in self.answers if begin <= one.due < end]

    def between(self, begin: float, end: float) -> Result:
        return Result([one for one in self.answers if begin <= one.due < end])


class Load:
    """Good traffic with one token, which can be changed; or, with `random_kids`, a storm."""

    def __init__(
        self,
        port: int,
        token: str,
        *,
        rate: float,
        connections: int = 32,
        random_kids: bool = False,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, port, token, rate, connections, random_kids), daemon=True
        )
        self._process.start()
        theirs.close()
        self._ask("start")

    def switch(self, token: str) -> None:
        """From now on. What is under way with the old token has ended before."""
        self._ask("switch", token)

    def pause(self) -> None:
        """Returns once nothing is under way."""
        self._ask("pause")

    def resume(self) -> None:
        self._ask("resume")

    def sent(self) -> int:
        return self._ask("sent")

    def stop(self) -> Result:
        rows = self._ask("stop")
        self._process.join(10)
        return Result([Answer(*row) for row in rows])

    def _ask(self, *command: Any) -> Any:
        self._pipe.send(command)
        if not self._pipe.poll(60):
            raise TimeoutError(f"the load does not answer to {command[0]}")
        return self._pipe.recv()


def _main(
    pipe: Connection, port: int, token: str, rate: float, connections: int, random_kids: bool
) -> None:
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        asyncio.run(_Generator(pipe, port, token, rate, connections, random_kids).run())


class _Generator:
    def __init__(
        self,
        pipe: Connection,
        port: int,
        token: str,
        rate: float,
        connections: int,
        random_kids: bool,
    ) -> None:
        self.pipe, self.port, self.rate, self.connections = pipe, port, rate, connections
        self.random_kids = random_kids
        self.header = json.loads(_decode(token.split(".")[0]))
        self.rest = token.partition(".")[2]
        self.request = _request(token)
        self.rows: list[tuple[float, int, float]] = []
        self.running = asyncio.Event()
        self.begun = self.busy = 0
        self.next_due = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        commands: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        loop.add_reader(self.pipe.fileno(), lambda: commands.put_nowait(self.pipe.recv()))
        workers = [asyncio.create_task(self._worker()) for _ in range(self.connections)]
        while True:
            command, *arguments = await commands.get()
            answer: Any = None
            match command:
                case "start" | "resume":
                    self.next_due = time.monotonic()
                    self.running.set()
                case "pause":
                    await self._rest()
                case "switch":
                    was_running = self.running.is_set()
                    await self._rest()
                    self.request = _request(arguments[0])
                    if was_running:
                        self.next_due = time.monotonic()
                        self.running.set()
                case "sent":
                    answer = self.begun
                case "stop":
                    await self._rest()
                    for worker in workers:
                        worker.cancel()
                    self.pipe.send(self.rows)
                    return
            self.pipe.send(answer)

    async def _rest(self) -> None:
        self.running.clear()
        while self.busy:
            await asyncio.sleep(0.001)

    async def _worker(self) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            await self.running.wait()
            due = self.next_due
            self.next_due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self.running.is_set():
                continue
            self.busy += 1
            self.begun += 1
            status = LOST
            try:
                # A kept connection may be closed in the very moment it is used: one more try.
                for _ in range(2):
                    try:
                        if connection is None:
                            connection = await asyncio.open_connection("127.0.0.1", self.port)
                        status, keep = await asyncio.wait_for(self._exchange(*connection), 40)
                        if not keep:
                            connection[1].close()
                            connection = None
                        break
                    except (OSError, EOFError, TimeoutError):
                        if connection is not None:
                            connection[1].close()
                            connection = None
            finally:
                self.rows.append((due, status, time.monotonic() - due))
                self.busy -= 1

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, bool]:
        writer.write(self._random() if self.random_kids else self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        await reader.readexactly(length)
        return int(head[9:12]), b"connection: close" not in head

    def _random(self) -> bytes:
        header = {**self.header, "kid": os.urandom(12).hex()}
        return _request(f"{_encode(json.dumps(header).encode())}.{self.rest}")


def _request(token: str) -> bytes:
    return (
        f"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n"
    ).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
