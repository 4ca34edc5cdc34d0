"""An authorization server reduced to its published documents, with faults to switch on.

Serves discovery (RFC 8414 and OpenID Connect) and a JWK set, notes what is asked for and when,
and misbehaves on request, while it runs, per kind of document.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from .ports import ReservedPort, reusable_socket
from .waiting import until


class Fault(Enum):
    """The answers that requests get instead of a document."""

    OK = "ok"
    HANG = "hang"
    SERVER_ERROR = "500"
    NOT_FOUND = "404"
    HTML = "html garbage"
    EMPTY_BODY = "empty body"
    EMPTY_SET = "no keys"
    HUGE = "10 MB"
    ENDLESS = "a body without end"
    DRIP = "a byte at a time"
    WRONG_CONTENT_TYPE = "wrong content type"
    CLOSE = "close without an answer"
    RESET_AFTER_HEADERS = "reset after headers"
    TRUNCATED = "body shorter than promised"
    REDIRECT = "redirect"
    WRONG_ISSUER = "wrong issuer in discovery"


HUGE_BYTES = 10 * 1024 * 1024

# Slow enough that no fetch ends within its timeout, and too fast for an idle timeout to help.
_DRIP_SECONDS = 0.1
# 100 MB per second: soon beyond what any client should keep.
_ENDLESS_PIECE = b" " * 1048576
_ENDLESS_SECONDS = 0.01


@dataclass
class Behaviour:
    fault: Fault = Fault.OK
    delay_seconds: float = 0.0
    """Waited before anything is answered; combines with any fault."""
    cache_control: str | None = None
    content_type: str = "application/json"


@dataclass
class _State:
    keys: list[dict[str, Any]]
    discovery: Behaviour = field(default_factory=Behaviour)
    jwks: Behaviour = field(default_factory=Behaviour)
    asked: list[tuple[str, float]] = field(default_factory=list)
    """Each request: its path, and when it came."""


class KeyServer:
    """`path` is the issuer's path component, such as `/tenant`; empty for a bare origin.

    The JWK set is served with any query. With `tls` it speaks TLS, and nothing else.
    """

    def __init__(
        self,
        keys: list[dict[str, Any]],
        *,
        path: str = "",
        rfc8414: bool = True,
        openid: bool = True,
        jwks_path: str = "/keys",
        issuer: str | None = None,
        jwks_uri: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        self.origin = f"http://127.0.0.1:{self.port}"
        self.issuer = issuer or f"{self.origin}{path}"
        self.jwks_path = jwks_path
        self.jwks_uri = jwks_uri or f"{self.origin}{jwks_path}"
        self._discovery_paths: set[str] = set()
        if rfc8414:  # RFC 8414 section 3.1: inserted between host and path
            self._discovery_paths.add(f"/.well-known/oauth-authorization-server{path}")
        if openid:  # OpenID Connect Discovery section 4: appended; RFC 8414 section 5: inserted
            self._discovery_paths.add(f"{path}/.well-known/openid-configuration")
            self._discovery_paths.add(f"/.well-known/openid-configuration{path}")
        self._state = _State(keys)
        self._lock = threading.Lock()
        self._released = threading.Event()  # set to let go of everything that hangs
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.listen()

    # What the tests turn

    @property
    def keys(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._state.keys)

    @keys.setter
    def keys(self, keys: list[dict[str, Any]]) -> None:
        with self._lock:
            self._state.keys = list(keys)

    def behave(
        self,
        fault: Fault = Fault.OK,
        *,
        document: str = "jwks",
        delay_seconds: float = 0.0,
        cache_control: str | None = None,
        content_type: str = "application/json",
    ) -> None:
        """From now on; `document` is `jwks` or `discovery`."""
        behaviour = Behaviour(fault, delay_seconds, cache_control, content_type)
        with self._lock:
            setattr(self._state, document, behaviour)

    def let_go(self) -> None:
        """Ends every hang and delay that is running now with an answer at once."""
        released, self._released = self._released, threading.Event()
        released.set()

    def refuse(self) -> None:
        """Stops listening and drops open connections: new connections are refused."""
        with self._lock:
            listening, self._listening = self._listening, None
            connections = list(self._open)
        if listening is not None:
            # shutdown wakes the thread that is blocked in accept; close alone does not
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for connection in connections:
            _shut(connection)
        self.let_go()

    def listen(self) -> None:
        """Listens (again) on the same port."""
        listening = reusable_socket()
        listening.bind(("127.0.0.1", self.port))
        listening.listen(128)
        with self._lock:
            self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def fetches(self, path: str | None = None) -> int:
        """The number of requests for a path (default: the JWK set's), with any query."""
        return len(self.fetch_times(path))

    def fetched(self) -> dict[str, int]:
        """Every path asked for, with its query and how often."""
        with self._lock:
            return dict(Counter(path for path, _ in self._state.asked))

    def fetch_times(self, path: str | None = None) -> list[float]:
        """When a path (default: the JWK set's) was asked for, by the monotonic clock.

        Without a query it stands for the path with any.
        """
        wanted = path or self.jwks_path
        with self._lock:
            return [at for one, at in self._state.asked if wanted in (one, one.partition("?")[0])]

    def wait_for_fetches(self, count: int, path: str | None = None, timeout: float = 10) -> None:
        wanted = path or self.jwks_path
        until(
            lambda: self.fetches(wanted) >= count, f"{count} fetches of {wanted}", timeout=timeout
        )

    def stop(self) -> None:
        self.refuse()
        self._reserved.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Serving

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            with self._lock:
                self._open.discard(connection)
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                return  # the client does not trust this server
            with self._lock:
                self._open.add(connection)
        try:
            with connection:
                while (path := _read_request(connection)) is not None:
                    if not self._answer(connection, path):
                        return
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, connection: socket.socket, path: str) -> bool:
        """Answers one request; False to close the connection."""
        with self._lock:
            self._state.asked.append((path, time.monotonic()))
            is_discovery = path in self._discovery_paths
            if not is_discovery and path.partition("?")[0] != self.jwks_path:
                connection.sendall(_response(404, b'{"error":"not_found"}'))
                return True
            behaviour = self._state.discovery if is_discovery else self._state.jwks
            released = self._released
        if behaviour.delay_seconds:
            released.wait(behaviour.delay_seconds)
        if behaviour.fault is Fault.HANG:
            released.wait()
            return False
        if behaviour.fault in (Fault.DRIP, Fault.ENDLESS):
            # Without a length, the body lasts as long as the connection.
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            piece, pause = (
                (b" ", _DRIP_SECONDS)
                if behaviour.fault is Fault.DRIP
                else (_ENDLESS_PIECE, _ENDLESS_SECONDS)
            )
            while not released.wait(pause):
                connection.sendall(piece)
            return False
        return self._send(connection, behaviour, is_discovery)

    def _send(self, connection: socket.socket, behaviour: Behaviour, is_discovery: bool) -> bool:
        document = self._document(is_discovery, behaviour.fault)
        headers = {"content-type": behaviour.content_type}
        if behaviour.cache_control is not None:
            headers["cache-control"] = behaviour.cache_control

        def ok(body: bytes, **more: str) -> bytes:
            return _response(
                200, body, {**headers, **{k.replace("_", "-"): v for k, v in more.items()}}
            )

        match behaviour.fault:
            case Fault.OK | Fault.WRONG_ISSUER | Fault.EMPTY_SET:
                sent = ok(document)
            case Fault.SERVER_ERROR:
                sent = _response(500, document, headers)
            case Fault.NOT_FOUND:
                sent = _response(404, b"not here", headers)
            case Fault.HTML:
                sent = ok(
                    b"<!doctype html><html><body>Maintenance</body></html>",
                    content_type="text/html",
                )
            case Fault.EMPTY_BODY:
                sent = ok(b"")
            case Fault.WRONG_CONTENT_TYPE:
                sent = ok(document, content_type="text/plain")
            case Fault.HUGE:
                sent = ok(document[:-1] + b" " * HUGE_BYTES + document[-1:])
            case Fault.REDIRECT:
                sent = _response(302, b"", {**headers, "location": f"{self.origin}/elsewhere"})
            case Fault.TRUNCATED:
                sent = ok(document)[: -len(document) // 2]
            case Fault.RESET_AFTER_HEADERS:
                connection.sendall(ok(document)[: -len(document)])
                # linger 0: close sends RST instead of FIN
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(0.05)  # the headers must be read before the reset discards them
                return False
            case Fault.CLOSE | Fault.HANG | Fault.DRIP | Fault.ENDLESS:
                return False
        connection.sendall(sent)
        return behaviour.fault is not Fault.TRUNCATED

    def _document(self, is_discovery: bool, fault: Fault) -> bytes:
        if not is_discovery:
            keys = [] if fault is Fault.EMPTY_SET else self.keys
            return json.dumps({"keys": keys}).encode()
        issuer = f"{self.origin}/other" if fault is Fault.WRONG_ISSUER else self.issuer
        return json.dumps(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
                "jwks_uri": self.jwks_uri,
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        ).encode()


def _read_request(connection: socket.socket) -> str | None:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return None
        head += piece
    return head.split(b" ", 2)[1].decode("latin-1")


def _response(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
