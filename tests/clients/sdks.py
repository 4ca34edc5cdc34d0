"""Libraries that applications log in with, each in a program of ours that only calls tools: see support/clients.py."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from support.challenges import parse_challenge
from support.clients import LEGACY, ClientFailed, Sdk
from support.clients import Client as Running
from support.processes import ChildFailed

from .place import Place
from .programs import INSTALLED

HERE = Path(__file__).parent
T = TypeVar("T")


def _locked(name: str, package: str) -> str:
    """The version that is locked, and therefore installed."""
    found = re.search(
        rf"^{package}==(\S+)", (HERE / "python" / f"{name}.txt").read_text(), re.MULTILINE
    )
    assert found is not None
    return found[1]


class _Library:
    token_seconds = 8
    login = "yes"
    quick = True
    scopes_at_login = None

    def __init__(
        self, place: Place, name: str, title: str, version: str, command: Sequence[str | Path]
    ) -> None:
        self.title = f"{title} {version}"
        self._place = place
        self._sdk = Sdk(
            name, title, name, lambda: version, [LEGACY], lambda: command, environment=place.environment()
        )
        self._running: Running | None = None
        self._runs = 0
        self._told = 0

    def log_in(self) -> None:
        self._runs += 1
        self._running = Running(
            self._place.directory / f"run-{self._runs}",
            self._sdk,
            self._place.url,
            LEGACY,
            token_for=None if self.login != "no" else self._token_for,
        )
        self._told = 0
        self._do(self._running.connect)

    def tools(self) -> set[str]:
        return self._do(self._client.tools)

    def call(self, tool: str, **arguments: object) -> str:
        result = self._do(lambda: self._client.call(tool, arguments))
        return result if isinstance(result, str) else json.dumps(result)

    def log_in_again(self) -> None:
        self.stop()
        self.log_in()

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()

    @property
    def _client(self) -> Running:
        assert self._running is not None
        return self._running

    def _token_for(self, challenge: str) -> str:
        """The token of a machine, with the scopes of the challenge."""
        _, parameters = parse_challenge(challenge)
        return self._place.authorization.token(self._place.url, parameters["scope"])

    def _do(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (ChildFailed, TimeoutError, BrokenPipeError) as failed:
            raise ClientFailed(str(failed)) from None
        finally:
            for url in self._client.logins[self._told :]:
                self._place.opened(url)
            self._told = len(self._client.logins)


class Python1(_Library):
    def __init__(self, place: Place) -> None:
        version = _locked("python_1", "mcp")
        program = [INSTALLED / "python-1" / "bin" / "python", HERE / "python" / "python_1.py"]
        super().__init__(place, "python-1", "Python SDK", version, program)


class FastMcp(_Library):
    def __init__(self, place: Place) -> None:
        version = _locked("fastmcp", "fastmcp")
        program = [INSTALLED / "fastmcp" / "bin" / "python", HERE / "python" / "fastmcp_client.py"]
        super().__init__(place, "fastmcp", "FastMCP", version, program)


class Go(_Library):
    def __init__(self, place: Place) -> None:
        locked = (HERE / "go" / "go.mod").read_text()
        found = re.search(r"^require \S+/go-sdk v(\S+)", locked, re.MULTILINE)
        assert found is not None
        super().__init__(place, "go", "Go SDK", found[1], [INSTALLED / "go" / "client"])


class Java(_Library):
    login = "no"

    def __init__(self, place: Place) -> None:
        locked = (HERE / "java" / "pom.xml").read_text()
        found = re.search(r"<artifactId>mcp</artifactId>\s*<version>(.*?)<", locked)
        assert found is not None
        folder = INSTALLED / "java"
        program = [shutil.which("java") or "java", "-cp", f"{folder}:{folder}/jars/*", "Client"]
        super().__init__(place, "java", "Java SDK", found[1], program)
