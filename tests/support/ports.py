"""A port that is ours before the server that will listen on it has started."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class ReservedPort:
    """A loopback port held by a bound socket that never listens.

    Needed where a URL with the port is part of the configuration (a resource identifier, an
    issuer). A server of the same user that sets SO_REUSEPORT, as Envoy's listeners do, can listen
    on it meanwhile; nobody else is given it. While nobody listens, connections are refused.
    """

    def __init__(self) -> None:
        self._socket = reusable_socket()
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def reusable_socket() -> socket.socket:
    """An IPv4 stream socket that can share a reserved port."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


def free_port() -> int:
    """A port for a server that takes a number and shares nothing.

    It is below those that the kernel hands out, so nobody is given it before the server listens.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(10_000, max(lowest, 11_000))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on 127.0.0.1")
