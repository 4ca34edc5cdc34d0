"""A proxy in front of Envoy: keeps what clients send and are told, and can change a challenge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from .loop_server import LARGEST_HEAD, LoopServer
from .recorder import Recorded, read_request

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """One request that came through, and the head of its answer."""

    method: str
    target: str
    authorization: str | None
    status: int
    challenge: str | None
    """`WWW-Authenticate` as the filter wrote it, whatever became of it."""
    protocol: str | None = None
    """`MCP-Protocol-Version`."""

    @property
    def summary(self) -> str:
        return f"{self.method} {self.target} {self.status}"


class Relay(LoopServer):
    """Runs in a thread of its own. `forward_to` is set before the first request comes.

    `divert` may give another port for a request. `credentials` are added where a request has none. `edit` is given status and challenge of an answer, and returns the header lines that the client
    gets in its place.
    """

    def __init__(self) -> None:
        self.forward_to = 0
        self.divert: Callable[[Recorded], int | None] = lambda request: None
        self.credentials: str | None = None
        self.edit: Callable[[int, str], list[str]] = lambda status, challenge: [challenge]
        self.exchanges: list[Exchange] = []
        super().__init__()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for each connection; what follows the answer's head is only copied."""
        upstream: asyncio.StreamWriter | None = None
        gone: asyncio.Future[bytes] | None = None
        try:
            request = await read_request(reader)
            if request is None:
                return
            answers, upstream = await asyncio.open_connection(
                "127.0.0.1", self.divert(request) or self.forward_to, limit=LARGEST_HEAD
            )
            kept = [
                name + b": " + value
                for name, value in request.headers
                if name.lower() not in (b"connection", b"content-length", b"transfer-encoding")
            ]
            if self.credentials is not None and request.header("authorization") is None:
                kept.append(b"authorization: " + self.credentials.encode())
            kept += [b"connection: close", b"content-length: %d" % len(request.body)]
            upstream.write(b"\r\n".join([request.line, *kept]) + b"\r\n\r\n" + request.body)
            gone = asyncio.ensure_future(reader.read(1))
            head = await _unless(gone, answers.readuntil(b"\r\n\r\n"))
            if head is None:
                return
            line, *headers = head[:-4].split(b"\r\n")
            status = int(line.split(b" ")[1])
            challenge, kept = None, [line, b"connection: close"]
            for header in headers:
                name, _, value = header.partition(b":")
                if name.lower() == b"www-authenticate":
                    assert challenge is None, "more than one challenge"
                    challenge = value.strip().decode("latin-1")
                    for edited in self.edit(status, challenge):
                        kept.append(b"www-authenticate: " + edited.encode("latin-1"))
                elif name.lower() != b"connection":
                    kept.append(header)
            self.exchanges.append(
                Exchange(
                    request.method,
                    request.target,
                    request.header("authorization"),
                    status,
                    challenge,
                    request.header("mcp-protocol-version"),
                )
            )
            writer.write(b"\r\n".join(kept) + b"\r\n\r\n")
            await _unless(gone, _copy(answers, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if gone is not None:
                gone.cancel()
            writer.close()
            if upstream is not None:
                upstream.close()


async def _unless(gone: asyncio.Future[bytes], work: Coroutine[Any, Any, T]) -> T | None:
    """Returns what `work` returns, or None if the client goes first: it left nothing to be kept."""
    working = asyncio.ensure_future(work)
    both: set[asyncio.Future[Any]] = {working, gone}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    working.cancel()
    return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        target.write(piece)
        await target.drain()
