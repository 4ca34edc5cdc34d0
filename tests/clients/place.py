"""Where clients run: a relay that keeps what they are told, Envoy with the filter, an authorization server that needs
no page, an MCP server, and a browser.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from support import http1, paths
from support.bootstrap import Listener
from support.envoy import Envoy
from support.ports import ReservedPort
from support.relay import Relay
from support.stack import Stack
from support.waiting import until

LIFETIME = 900
"""Of access tokens, in seconds, where a story does not say otherwise: some refresh with five minutes left."""

_BROWSER = """#!/bin/sh
echo "$1" >> {logins}
exec {python} {program} "$1"
"""


class Place:
    def __init__(self, directory: Path, authorization: Mapping[str, Any]) -> None:
        self.directory = directory
        self._stack = ExitStack()
        try:
            self.relay = self._stack.enter_context(Relay())
            self.stack = self._stack.enter_context(
                Stack(
                    directory / "stack",
                    paths.wasm_module(),
                    public_port=self.relay.port,
                    issuer={"clock_skew_seconds": 0, "keys": {"refresh_seconds": 2}},
                    resource={
                        "scopes_supported": ["mcp:read", "mcp:write"],
                        "operations": [
                            {"method": "tools/call", "name": "count", "scopes": ["mcp:admin"]},
                            {"method": "tools/call", "name": "announce", "deny": True},
                        ],
                    },
                    # A client that registers itself is not held to the scopes of that day.
                    authorization={
                        "keepsRegisteredScope": False,
                        "accessTokenSeconds": LIFETIME,
                        **authorization,
                    },
                )
            )
            nobody = self._stack.enter_context(ReservedPort())
            self._without_keys = self._stack.enter_context(self._dead_issuer(nobody.number))
        except BaseException:
            self._stack.close()
            raise
        self.url = self.stack.url
        self.authorization = self.stack.authorization
        self.relay.forward_to = self.stack.envoy.port
        self._logins = directory / "logins"
        self.work = directory / "work"
        self.work.mkdir()
        self._make_browser()

    def _dead_issuer(self, port: int) -> Envoy:
        """Another filter with the same configuration, which cannot fetch the issuer's keys."""
        clusters = {"upstream": self.stack.server.port, "auth": port}
        listener = Listener(wasm=paths.wasm_module(), configuration=self.stack.configuration)
        return Envoy(self.directory / "without-keys", {"mcp": listener}, clusters)

    def _make_browser(self) -> None:
        """By all names that a program may call it."""
        self.programs = self.directory / "bin"
        self.programs.mkdir()
        browser = self.programs / "xdg-open"
        browser.write_text(
            _BROWSER.format(
                logins=shlex.quote(str(self._logins)),
                python=shlex.quote(sys.executable),
                program=shlex.quote(str(Path(__file__).parent / "browser.py")),
            )
        )
        browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
        for name in ("open", "x-www-browser", "www-browser", "sensible-browser"):
            (self.programs / name).symlink_to(browser)
        self.browser = browser

    def environment(self) -> dict[str, str]:
        """Of a program that has a person's home of its own, and nothing of this machine's."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        node = paths.node_binary().parent
        return {
            "PATH": f"{self.programs}:{node}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "BROWSER": str(self.browser),
            "DISPLAY": ":0",
            "NO_PROXY": "127.0.0.1,localhost",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }

    def logins(self) -> list[set[str]]:
        """The scopes of each login that a browser was opened for; `offline_access` is not the filter's."""
        text = self._logins.read_text() if self._logins.exists() else ""
        queries = [urllib.parse.parse_qs(urllib.parse.urlsplit(url).query) for url in text.split()]
        return [set(" ".join(query.get("scope", [])).split()) - {"offline_access"} for query in queries]

    def opened(self, url: str) -> None:
        """A person followed this link by themselves."""
        with self._logins.open("a") as file:
            file.write(url + "\n")

    def grants(self) -> list[str]:
        """The answers of the token endpoint, each with its grant."""
        return [
            one.removeprefix("POST /token ")
            for one in self.authorization.served()
            if one.startswith("POST /token ")
        ]

    def statuses(self) -> list[int]:
        return [one.status for one in self.relay.exchanges if one.target.startswith("/mcp")]

    def protocols(self) -> set[str]:
        """Those that requests with a token named."""
        return {
            one.protocol
            for one in self.relay.exchanges
            if one.protocol and one.authorization and one.status == 200
        }

    def last_authorization(self) -> str:
        used = [one.authorization for one in self.relay.exchanges if one.authorization]
        assert used, "no request had a token"
        return used[-1]

    def refuses(self, authorization: str) -> bool:
        port = self.stack.envoy.port
        return http1.request(port, "GET", "/mcp", [("authorization", authorization)]).status == 401

    def withdraw_the_signing_key(self) -> None:
        """And wait until the filter knows."""
        used = self.last_authorization()
        self.authorization.rotate(drop_old=True)
        until(lambda: self.refuses(used), "the withdrawn key to be forgotten", timeout=60, interval=0.2)

    def let_token_expire(self, seconds: float) -> None:
        """A token that lives for so long, was issued before now, and was used last."""
        used, issued_before = self.last_authorization(), time.monotonic()
        until(
            lambda: time.monotonic() > issued_before + seconds and self.refuses(used),
            "the token to expire",
            timeout=seconds + 60,
            interval=0.2,
        )

    def without_keys(self, yes: bool) -> None:
        """Calls of tools go to a filter that can have no keys: it answers 503."""
        port = self._without_keys.port if yes else None
        self.relay.divert = lambda request: port if b'"tools/call"' in request.body else None

    def logs(self) -> str:
        lines = [f"{one.summary} {one.protocol or ''}" for one in self.relay.exchanges[-40:]]
        return "\n".join([*lines, self.stack.envoy.log()[-2000:], self.authorization.log()[-1000:]])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()
