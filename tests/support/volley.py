"""Many requests over few connections, one after the other, every byte as a test wants it.

Not pipelined: Envoy now and then stops reading behind a request that it has refused.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .http1 import Headers, encode

_TIMEOUT = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    """0: the server closed the connection without an answer."""
    body: bytes


_NONE = Answer(0, b"")

Connect = Callable[[], socket.socket]


def request(target: bytes, method: str = "GET", host: str = "mcp.example.com", headers: Headers = ()) -> bytes:  # fmt: skip
    """A request that keeps its connection open."""
    return encode(method, target, headers, host=host).replace(b"connection: close\r\n", b"", 1)


def plain(port: int) -> Connect:
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)


def tls(port: int, context: ssl.SSLContext, name: str) -> Connect:
    return lambda: context.wrap_socket(plain(port)(), server_hostname=name)


def volley(connect: Connect, requests: Sequence[bytes], connections: int = 8) -> list[Answer]:
    """The answer to each of `requests` (as `request` makes them, HEAD excepted), in their order."""
    share = max(1, -(-len(requests) // connections))
    parts = [requests[at : at + share] for at in range(0, len(requests), share)]
    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        return [answer for part in pool.map(lambda one: _in_turn(connect, one), parts) for answer in part]  # fmt: skip


def _in_turn(connect: Connect, requests: Sequence[bytes]) -> list[Answer]:
    answers: list[Answer] = []
    while len(answers) < len(requests):
        before = len(answers)
        # What a server did not get to, since it ended the connection, is asked again.
        answers += _on_one_connection(connect, requests[before:])
        if len(answers) == before:
            answers.append(_NONE)
    return answers


def _on_one_connection(connect: Connect, requests: Sequence[bytes]) -> Iterator[Answer]:
    with connect() as connection, connection.makefile("rb") as stream:
        for one in requests:
            # Some answer, and close, before everything was read.
            with contextlib.suppress(OSError):
                connection.sendall(one)
            try:
                answer, ends = _read(stream)
            except (OSError, EOFError, ValueError):
                return
            yield answer
            # Envoy ends a connection a second after it has refused a path, and does not say so.
            if ends or answer.status == 400:
                return


def _read(stream) -> tuple[Answer, bool]:  # type: ignore[no-untyped-def]
    """An answer, and whether it is the last one of its connection."""
    while True:
        start = stream.readline()
        if not start.endswith(b"\n"):
            raise EOFError
        version, code = start.split(b" ", 2)[:2]
        headers: dict[bytes, bytes] = {}
        while (line := stream.readline()) not in (b"\r\n", b"\n"):
            if not line:
                raise EOFError
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip().lower()
        status = int(code)
        if status >= 200:
            break
    ends = headers.get(b"connection") == b"close" or (
        version == b"HTTP/1.0" and headers.get(b"connection") != b"keep-alive"
    )
    if status in (204, 304):
        return Answer(status, b""), ends
    if headers.get(b"transfer-encoding") == b"chunked":
        body = b""
        while size := int(stream.readline().split(b";")[0], 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return Answer(status, body), ends
    if b"content-length" in headers:
        return Answer(status, stream.read(int(headers[b"content-length"]))), ends
    return Answer(status, stream.read()), True
