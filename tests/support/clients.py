"""The official SDKs as clients, each in a process of its own that is told what to do.

A program gets its options (`url`, `era`, `redirect_uri`, and `client_id` with `issuer` where the
client is known beforehand) as JSON, then one command a line:

    {"do": "connect"}                                       -> {"version": "2026-07-28"}
    {"do": "call", "tool": "echo", "arguments": {...}}      -> {"result": ...}
    {"do": "list"}                                          -> {"tools": [...]}, those of tests/clients alone

It may first say `{"browse": URL}`, where a person would have to log in, and waits for
`{"callback": URL}`; with `"again": true` the SDK has given the work up, and the program, as every
application would have to, finishes the login and begins again. Where the SDK has no login, it says
`{"challenge": "Bearer ..."}` and waits for `{"token": "..."}`. What goes wrong is answered with
`{"error": "..."}`.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from . import paths
from .authorization import browse
from .mcp_client import REDIRECT_URI
from .processes import Child
from .waiting import until

MODERN = "2026-07-28"
LEGACY = "2025-11-25"

# For one command, logins included; a client that hangs must fail its test.
PATIENCE = 180.0


class ClientFailed(Exception):
    """The error that the client's SDK gave its application."""


@dataclass(frozen=True)
class Sdk:
    """`title` as docs/sdks.md has it; the first of `eras` is the newest that it speaks."""

    name: str
    title: str
    package: str
    version: Callable[[], str]
    eras: Sequence[str]
    command: Callable[[], Sequence[str | Path]]
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def _npm_version(package: str) -> Callable[[], str]:
    def version() -> str:
        manifest = paths.TS_CLIENT_MODULES / "node_modules" / package / "package.json"
        return json.loads(manifest.read_text())["version"]

    return version


def _rmcp_version() -> str:
    """The one that is locked, and therefore built."""
    lock = (paths.RMCP_CLIENT / "Cargo.lock").read_text()
    found = re.search(r'name = "rmcp"\nversion = "([^"]+)"', lock)
    assert found is not None
    return found[1]


@cache
def _rmcp_client() -> Path:
    """The built program; where `make test` has built it already, cargo finds nothing to do."""
    script = paths.REPOSITORY / "scripts" / "rmcp-client"
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def _typescript() -> Sequence[str | Path]:
    return [paths.node_binary(), paths.TS_CLIENT]


_NODE = {"TS_CLIENT_MODULES": str(paths.TS_CLIENT_MODULES)}

PYTHON = Sdk(
    "python",
    "Python SDK",
    "mcp",
    lambda: importlib.metadata.version("mcp"),
    [MODERN, LEGACY],
    lambda: [sys.executable, "-m", "support.python_client"],
    environment={"PYTHONPATH": str(paths.REPOSITORY / "tests")},
)
TYPESCRIPT = Sdk(
    "typescript",
    "TypeScript SDK",
    "@modelcontextprotocol/client",
    _npm_version("@modelcontextprotocol/client"),
    [MODERN, LEGACY],
    _typescript,
    options={"sdk": 2},
    environment=_NODE,
)
TYPESCRIPT_1 = Sdk(
    "typescript-1",
    "TypeScript SDK, version 1",
    "@modelcontextprotocol/sdk",
    _npm_version("@modelcontextprotocol/sdk"),
    [LEGACY],
    _typescript,
    options={"sdk": 1},
    environment=_NODE,
)
RUST = Sdk(
    "rust",
    "Rust SDK",
    "rmcp",
    _rmcp_version,
    [MODERN, LEGACY],
    lambda: [_rmcp_client()],
)
SDKS = [PYTHON, TYPESCRIPT, TYPESCRIPT_1, RUST]


class Client:
    """One running client; a person's part in its logins is played here."""

    def __init__(
        self,
        directory: Path,
        sdk: Sdk,
        url: str,
        era: str,
        *,
        known_as: tuple[str, str] | None = None,
        token_for: Callable[[str], str] | None = None,
    ) -> None:
        """`known_as`: client id, and the issuer that knows it. Else the client registers itself.

        `token_for` has a token for a challenge, where the SDK cannot log in.
        """
        options = {**sdk.options, "url": url, "era": era, "redirect_uri": REDIRECT_URI}
        if known_as is not None:
            options["client_id"], options["issuer"] = known_as
        self.logins: list[str] = []
        """The authorization URLs that a person had to go to."""
        self.begun_again = 0
        """The number of times that the application had to call once more."""
        self._token_for = token_for
        self._heard = 0
        self._child = Child(
            "client",
            [*sdk.command(), json.dumps(options)],
            directory,
            environment=sdk.environment,
            listens=True,
        )

    def connect(self) -> str:
        """The protocol version agreed on."""
        return self._do({"do": "connect"})["version"]

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> Any:
        answer = self._do({"do": "call", "tool": tool, "arguments": dict(arguments or {})})
        return answer["result"]

    def tools(self) -> set[str]:
        return set(self._do({"do": "list"})["tools"])

    def log(self) -> str:
        return self._child.log()

    def _do(self, command: Mapping[str, Any]) -> dict[str, Any]:
        self._child.tell(json.dumps(command))
        while True:
            answer = until(self._next_line, f"the client to {command['do']}", timeout=PATIENCE)
            if "error" in answer:
                raise ClientFailed(answer["error"])
            if "challenge" in answer and self._token_for is not None:
                self._child.tell(json.dumps({"token": self._token_for(answer["challenge"])}))
                continue
            if "browse" not in answer:
                return answer
            self.logins.append(answer["browse"])
            self.begun_again += answer.get("again", False)
            query = asyncio.run(browse(answer["browse"], REDIRECT_URI))
            callback = f"{REDIRECT_URI}?{urllib.parse.urlencode(query)}"
            self._child.tell(json.dumps({"callback": callback}))

    def _next_line(self) -> dict[str, Any] | None:
        lines = self._child.stdout_path.read_text().split("\n")[:-1]
        if len(lines) <= self._heard:
            self._child.check()
            return None
        self._heard += 1
        return json.loads(lines[self._heard - 1])

    def stop(self) -> None:
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
