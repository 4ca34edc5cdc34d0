"""A server on a free port of loopback that has a thread for each connection."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self

Handler = Callable[[Any, Any, Any], socketserver.BaseRequestHandler]
"""A class of handlers, those of `http.server` too."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: another one's handshake keeps nobody waiting."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        # Who does not trust the certificate ends the handshake, and asks for nothing.
        with contextlib.suppress(OSError), self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


class Threaded:
    """Serves from the beginning until it is left. With `tls` it speaks TLS, and nothing else."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.tls = tls
        self.port: int = self._server.server_address[1]
        self.origin = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
