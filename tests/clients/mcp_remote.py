"""mcp-remote: for its host an MCP server on stdin and stdout."""

from __future__ import annotations

import json
from typing import Any

from support.clients import ClientFailed
from support.processes import Child, ChildFailed
from support.waiting import until

from .place import Place
from .programs import PATIENCE, npm_program, npm_version, text_of


class McpRemote:
    token_seconds = 8
    login = "yes"
    quick = True
    scopes_at_login = None

    def __init__(self, place: Place) -> None:
        self.title = f"mcp-remote {npm_version('mcp-remote', 'mcp-remote')}"
        self._place = place
        self._child: Child | None = None
        self._number = 0
        self._runs = 0

    def log_in(self) -> None:
        self._runs += 1
        self._child = Child(
            f"mcp-remote-{self._runs}",
            [*npm_program("mcp-remote", "mcp-remote", "mcp-remote"), self._place.url],
            self._place.directory,
            environment=self._place.environment(),
            listens=True,
        )
        self._ask(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "host", "version": "1"},
            },
        )
        self._say({"method": "notifications/initialized"})

    def tools(self) -> set[str]:
        return {one["name"] for one in self._ask("tools/list", {})["tools"]}

    def call(self, tool: str, **arguments: object) -> str:
        return text_of(self._ask("tools/call", {"name": tool, "arguments": arguments}))

    def log_in_again(self) -> None:
        self.stop()
        self.log_in()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._child is not None
        try:
            self._child.tell(json.dumps({"jsonrpc": "2.0", **message}))
        except BrokenPipeError:
            raise ClientFailed(self._child.log()[-500:]) from None

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._say({"id": self._number, "method": method, "params": params})
        try:
            answer = until(self._answer, f"{method} to be answered", timeout=PATIENCE)
        except ChildFailed as failed:
            raise ClientFailed(str(failed)) from None
        if "error" in answer:
            raise ClientFailed(answer["error"]["message"])
        return answer["result"]

    def _answer(self) -> dict[str, Any] | None:
        assert self._child is not None
        for line in self._child.stdout_path.read_text().split("\n")[:-1]:
            message = json.loads(line)
            if message.get("id") == self._number and "method" not in message:
                return message
        self._child.check()
        return None
