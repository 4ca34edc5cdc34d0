"""Two servers with a protected handler at /mcp, which differ in how they read a path.

Each answers `protected` or `public`: which of its handlers a request has reached.
"""

from __future__ import annotations

import posixpath
import socketserver
import urllib.parse
from collections.abc import Callable

from .threaded import Threaded


def reads_literally(target: str) -> bool:
    """Routes on the bytes as they come."""
    path = target.split("?")[0]
    return path == "/mcp" or path.startswith("/mcp/")


def reads_leniently(target: str) -> bool:
    """Does all that servers are known to do to a path, in two orders."""
    return any(_is_protected(path) for path in (_late(target), _early(target)))


def _early(target: str) -> str:
    """Resolves the target as a URL reference first, then decodes (`new URL` in Node)."""
    path = urllib.parse.urljoin("http://host/", target.replace("\\", "/"))
    return _decoded(urllib.parse.urlsplit(path).path)


def _late(target: str) -> str:
    """Decodes twice, then drops parameters, merges slashes, and resolves."""
    path = _decoded(_decoded(target.split("?")[0])).split("\0")[0].split("?")[0].split("#")[0]
    segments = [segment.split(";")[0].strip() for segment in path.replace("\\", "/").split("/")]
    return posixpath.normpath("/" + "/".join(segment for segment in segments if segment))


def _decoded(path: str) -> str:
    return urllib.parse.unquote(path, errors="replace")


def _is_protected(path: str) -> bool:
    first = path.lstrip("/").split("/")[0]
    return first.strip().rstrip(".").lower() == "mcp"


class Handlers(Threaded):
    """A server on loopback that says which handler it would have called."""

    def __init__(self, is_protected: Callable[[str], bool]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline():
                    while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                        pass
                    target = line.split(b" ")[1].decode("latin-1")
                    body = b"protected" if is_protected(target) else b"public"
                    self.wfile.write(
                        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
                    )

        super().__init__(Handler)
