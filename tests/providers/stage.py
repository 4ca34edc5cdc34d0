"""One provider's run: its server, the filter before an MCP server, and what is seen of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.ports import ReservedPort

from .gateway import Gateway
from .servers.server import Server

OTHER_RESOURCE = "https://other.example.com/mcp"
"""Another resource that the authorization server makes tokens for."""


@dataclass(frozen=True)
class Row:
    provider: str
    what: str
    seen: str


@dataclass
class Running:
    server: Server
    gateway: Gateway

    @property
    def url(self) -> str:
        return self.gateway.url


@dataclass
class Stage:
    """Where a story runs, and says what it saw."""

    provider: str
    directory: Path
    rows: list[Row] = field(default_factory=list)
    part: str = ""
    """What all that is seen is about, where a story is about several."""
    last_logs: str = ""
    """Of the parts that ran last: for a story that failed."""
    _number: int = 0

    def saw(self, what: str, seen: str) -> None:
        what = f"{self.part}: {what}" if self.part else what
        self.rows.append(Row(self.provider, what, seen))
        print(f"  {what}: {seen}", flush=True)

    @contextmanager
    def running(
        self, start: Callable[[Path, list[str]], Server], **gateway: Any
    ) -> Iterator[Running]:
        """`start` gets a folder and the resources that tokens are to be made for."""
        with ReservedPort() as reserved:
            folder = self._folder()
            began = time.monotonic()
            with start(
                folder, [f"http://127.0.0.1:{reserved.number}/mcp", OTHER_RESOURCE]
            ) as server:
                print(
                    f"  {server.title} {server.version}: {time.monotonic() - began:.1f} s to start"
                )
                with self.guarded(server, reserved.number, **gateway) as running:
                    yield running

    @contextmanager
    def guarded(self, server: Server, port: int, **gateway: Any) -> Iterator[Running]:
        """A gateway for a server that runs already."""
        with Gateway(self._folder(), port, server, **gateway) as made:
            try:
                yield Running(server, made)
            except BaseException:
                self.last_logs = f"{server.log()[-3000:]}\n{made.envoy.log()[-3000:]}"
                raise

    def _folder(self) -> Path:
        self._number += 1
        folder = self.directory / str(self._number)
        folder.mkdir()
        return folder


def check(holds: bool, what: object) -> None:
    if not holds:
        raise AssertionError(what if isinstance(what, str) else json.dumps(what, default=str))
