"""An HTTP/1.1 client that sends exactly the bytes that a test asks for."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Headers = Iterable[tuple[str | bytes, str | bytes]]


@dataclass(frozen=True)
class Response:
    status: int
    headers: list[tuple[str, str]]
    """Names in lower case, in the order of arrival, repeated ones kept."""
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for one, value in self.headers if one == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    port: int,
    method: str = "GET",
    path: str = "/",
    headers: Headers = (),
    body: bytes = b"",
    *,
    host: str | None = "127.0.0.1",
    timeout: float = 15.0,
) -> Response:
    """One request on its own connection; `host=None` leaves the Host header out."""
    return exchange(port, encode(method, path, headers, body, host=host), method, timeout=timeout)


def get(port: int, path: str, token: str | None = None, headers: Headers = ()) -> Response:
    """A GET with a Bearer token."""
    credentials = [] if token is None else [("authorization", f"Bearer {token}")]
    return request(port, "GET", path, [*headers, *credentials])


def encode(
    method: str, path: str, headers: Headers = (), body: bytes = b"", *, host: str | None
) -> bytes:
    lines = [_bytes(f"{method} ") + _bytes(path) + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"host: " + _bytes(host))
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\nconnection: close\r\n\r\n" + body


def exchange(port: int, sent: bytes, method: str = "GET", *, timeout: float = 15.0) -> Response:
    """Sends bytes and reads one response; ConnectionError if the server just hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        # Answered, and closed, before everything was read: the answer is what counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        return read_response(connection, method)


def read_response(connection: socket.socket, method: str = "GET") -> Response:
    parsed = http.client.HTTPResponse(connection, method=method)
    try:
        parsed.begin()
        body = parsed.read()
    except http.client.BadStatusLine as error:
        raise ConnectionError("the server closed the connection without an answer") from error
    finally:
        parsed.close()
    return Response(
        parsed.status, [(name.lower(), value) for name, value in parsed.getheaders()], body
    )


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
