"""Event streams that stay open."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from support import http1

# Events come twice a second, but not on a machine that is busy with other things.
_SILENCE_SECONDS = 20.0


class EventStreams:
    """Some that are read until they are closed; `cut` tells which ended before, and how."""

    def __init__(self, port: int, bearer: str, count: int) -> None:
        self.cut: list[str] = []
        self.events = 0
        self._closing = False
        headers = [("authorization", f"Bearer {bearer}"), ("accept", "text/event-stream")]
        request = http1.encode("GET", "/mcp/events", headers, host="127.0.0.1")
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=_SILENCE_SECONDS)
            connection.sendall(request)
            self._connections.append(connection)
            thread = threading.Thread(target=self._read, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _read(self, connection: socket.socket) -> None:
        received = b""
        try:
            while piece := connection.recv(4096):
                if not received:
                    received = piece
                self.events += piece.count(b"data:")
            how = "ended"
        except OSError as error:
            how = repr(error)
        if not self._closing:
            answer = received.partition(b"\r\n")[0].decode("latin-1")
            self.cut.append(f"{how}, after {answer!r}")

    def close(self) -> None:
        self._closing = True
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
