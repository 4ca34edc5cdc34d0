"""Attacks on an Envoy with the filter."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable

from . import http1
from .volley import Connect

# The bytes that are sent of each body that never ends.
ENDLESS = 400_000


def endless_bodies(
    connect: Connect,
    bearer: str,
    count: int,
    *,
    host: str = "a",
    sent: Callable[[int], None] = lambda _: None,
) -> Counter[int]:
    """The answers to POSTs of `ENDLESS` bytes that never end.

    `sent` is called after each of them, with how many they are by then.
    """
    lines = [f"authorization: Bearer {bearer}", f"host: {host}", "content-length: 500000"]
    head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode()
    connections = []
    try:
        for number in range(1, count + 1):
            connection = connect()
            connections.append(connection)
            with contextlib.suppress(OSError):  # answered before it was sent
                connection.sendall(head + b" " * ENDLESS)
            sent(number)
        return Counter(_status(connection) for connection in connections)
    finally:
        for connection in connections:
            connection.close()


def _status(connection: socket.socket) -> int:
    try:
        return http1.read_response(connection).status
    except OSError:
        return 503  # reset, for it was answered before it was sent


def connection_storm(port: int, count: int) -> None:
    """Connections that send nothing, or half a request, and are reset."""
    connections = []
    try:
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connections.append(connection)
            if number % 2:
                with contextlib.suppress(OSError):
                    connection.sendall(b"POST /mcp HTTP/1.1\r\nhost: a\r\nauthoriz")
    finally:
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
