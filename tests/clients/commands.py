"""Clients of which each call is a command of its own; what they know of a login is in their home."""

from __future__ import annotations

import json
from typing import Any

from support.clients import ClientFailed

from .place import Place
from .programs import npm_program, npm_version, run, text_of


class McPorter:
    token_seconds = 12
    login = "`mcporter auth`"
    quick = True
    scopes_at_login = None

    def __init__(self, place: Place) -> None:
        self.title = f"mcporter {npm_version('mcporter', 'mcporter')}"
        self._place = place
        folder = place.work / "config"
        folder.mkdir()
        server = {"baseUrl": place.url, "auth": "oauth"}
        (folder / "mcporter.json").write_text(json.dumps({"mcpServers": {"harness": server}, "imports": []}))

    def log_in(self) -> None:
        self._run("auth", "harness")

    def tools(self) -> set[str]:
        listed = json.loads(self._run("list", "harness", "--json"))
        return {one["name"] for one in listed["tools"]}

    def call(self, tool: str, **arguments: object) -> str:
        said = self._run(
            "call", f"harness.{tool}", "--args", json.dumps(arguments), "--output", "raw"
        )
        return said

    def log_in_again(self) -> None:
        self._run("auth", "harness", "--reset")

    def stop(self) -> None:
        pass

    def _run(self, *arguments: str) -> str:
        return run(self._place, [*npm_program("mcporter", "mcporter", "mcporter"), *arguments])


class Inspector:
    """The Inspector's command line, in the era of sessions, which it has where nothing is said of it."""

    token_seconds = 12
    login = "yes"
    quick = True
    scopes_at_login = None
    _PACKAGE = "@modelcontextprotocol/inspector"

    def __init__(self, place: Place) -> None:
        version = npm_version("inspector", self._PACKAGE)
        self.title = f"Inspector {version.rpartition('.')[0]}, CLI"
        self._place = place

    def log_in(self) -> None:
        self._run("--method", "tools/list")

    def tools(self) -> set[str]:
        return {one["name"] for one in self._run("--method", "tools/list")["tools"]}

    def call(self, tool: str, **arguments: object) -> str:
        given = json.dumps(arguments)
        return text_of(self._run("--method", "tools/call", "--tool-name", tool, "--tool-args-json", given))

    def log_in_again(self) -> None:
        self._run("--relogin", "--method", "tools/list")

    def stop(self) -> None:
        pass

    def _run(self, *arguments: str) -> dict[str, Any]:
        command = [
            *npm_program("inspector", self._PACKAGE, "mcp-inspector"),
            *("--cli", "--server-url", self._place.url, "--transport", "http", "--format", "json"),
            *arguments,
        ]
        # Its users have a terminal and a keychain, and it opens a browser for them.
        environment = {"MCP_AUTO_OPEN_ENABLED": "true", "MCP_INSPECTOR_SECRET_STORE": "file"}
        try:
            said = run(self._place, command, environment=environment)
        except ClientFailed as failed:
            lines = str(failed).splitlines()
            told = [one for one in lines if not one.startswith("[mcp-inspector]")]
            raise ClientFailed("\n".join(told)) from None
        start = said.find("{")
        if start < 0:
            raise ClientFailed(said)
        answer = json.loads(said[start:])
        return answer.get("result", answer)
