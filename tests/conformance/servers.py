"""The servers: the official SDKs', FastMCP's, and server-everything; each for `story.py`, and for the suite."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import paths
from support.http1 import request
from support.mcp_server import McpServer
from support.ports import ReservedPort
from support.processes import Child
from support.waiting import until

from .story import Tools

Start = Callable[[Path], AbstractContextManager[int]]
"""Starts a server in a folder, and gives its port; it serves /mcp."""

INSTALLED = paths.TOOLS / "conformance"
PACKAGES = INSTALLED / "node_modules"
HERE = Path(__file__).parent / "servers"


@dataclass(frozen=True)
class Server:
    start: Start
    tools: Tools
    suite: Start | None = None
    """The server that the suite is run against, where it is another."""


def _answers(child: Child, port: int) -> None:
    def ready() -> bool:
        child.check()
        with contextlib.suppress(OSError):
            return request(port, "GET", "/mcp").status > 0
        return False

    until(ready, f"{child.name} to answer", timeout=120, interval=0.2)


def _on_port(program: Callable[[int], Sequence[str | Path]], variable: str | None = None) -> Start:
    """A program that is told its port, by an environment variable or an argument."""

    @contextmanager
    def start(directory: Path) -> Iterator[int]:
        # Such servers do not share a port that is held.
        with ReservedPort() as reserved:
            port = reserved.number
        environment = {variable: str(port)} if variable else {}
        with Child("server", program(port), directory, environment=environment) as child:
            _answers(child, port)
            yield port

    return start


def _saying(program: Callable[[], Sequence[str | Path]], **environment: str) -> Start:
    """A program of ours, which says its port in its first line."""

    @contextmanager
    def start(directory: Path) -> Iterator[int]:
        with Child("server", program(), directory, environment=environment) as child:
            yield child.first_json_line()["port"]

    return start


@contextmanager
def _python(directory: Path) -> Iterator[int]:
    with McpServer(directory) as server:
        yield server.port


def _everything(_: int) -> Sequence[str | Path]:
    folder = PACKAGES / "@modelcontextprotocol" / "server-everything"
    return [paths.node_binary(), folder / "dist" / "index.js", "streamableHttp"]


def _typescript_example(_: int) -> Sequence[str | Path]:
    sdk = PACKAGES / "@modelcontextprotocol" / "sdk"
    return [paths.node_binary(), sdk / "dist" / "esm" / "examples" / "server" / "simpleStreamableHttp.js"]


def _typescript(version: str) -> Start:
    program = HERE / "node.mjs"
    return _saying(lambda: [paths.node_binary(), program, version], SERVER_MODULES=str(INSTALLED))


def _java() -> Sequence[str | Path]:
    folder = INSTALLED / "java"
    return [shutil.which("java") or "java", "-cp", f"{folder}:{folder}/jars/*", "Server"]


SERVERS: Mapping[str, Server] = {
    "everything": Server(
        _on_port(_everything, "PORT"),
        Tools(("echo", "message"), ("trigger-long-running-operation", {"duration": 2, "steps": 5}), None),
    ),
    "python": Server(_python, Tools(cancelled=None)),
    "typescript": Server(_typescript("1"), Tools(), _on_port(_typescript_example, "MCP_PORT")),
    "typescript-2": Server(_typescript("2"), Tools()),
    "go": Server(
        _saying(lambda: [INSTALLED / "go" / "server"]),
        Tools(),
        _on_port(lambda port: [INSTALLED / "go" / "everything-server", f"-http=127.0.0.1:{port}"]),
    ),
    "rust": Server(_saying(lambda: [INSTALLED / "rust" / "server"]), Tools()),
    # Its tool does not look whether it was cancelled.
    "java": Server(_saying(_java), Tools(cancelled=None)),
    "fastmcp": Server(
        _saying(
            lambda: [
                paths.TOOLS / "clients" / "fastmcp" / "bin" / "python",
                HERE / "fastmcp_server.py",
            ]
        ),
        Tools(),
    ),
}
