"""A server in an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from typing import Self

LARGEST_HEAD = 256 * 1024
# Connections that wait to be accepted: a crowd comes at once, and Envoy gives each two seconds.
BACKLOG = 4096


class LoopServer(ABC):
    """Listens on a free port of 127.0.0.1, or at `listening`, from its making on: what `_serve` needs is set before."""

    def __init__(
        self, listening: socket.socket | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listening = listening
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        where = {"sock": self._listening} if self._listening else {"host": "127.0.0.1", "port": 0}
        server = self._loop.run_until_complete(
            asyncio.start_server(
                self._serve, **where, ssl=self._tls, limit=LARGEST_HEAD, backlog=BACKLOG
            )
        )
        self.port: int = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
