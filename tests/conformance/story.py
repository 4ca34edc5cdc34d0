"""A server behind the filter: a login, tools, a stream of events, cancellation, and the end of a session."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mcp.shared.auth import OAuthToken
from support import http1, paths
from support.authorization import AuthorizationServer
from support.bootstrap import Listener
from support.envoy import Envoy
from support.mcp_client import LEGACY, MODERN, Login, connect
from support.ports import ReservedPort

Json = dict[str, Any]
LEGACY_VERSION = "2025-11-25"
_CLIENT = {"name": "story", "version": "1"}
_INITIALIZE = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": _CLIENT}
_ABOUT: Json = {"protocolVersion": MODERN, "clientInfo": _CLIENT, "clientCapabilities": {}}
"""The part of `_meta` that every request of 2026-07-28 has."""
STEPS, APART = 5, 300
"""The count's steps, and the milliseconds between two."""


@dataclass(frozen=True)
class Tools:
    """The names that a server has for them; `None` where it does not count cancelled calls."""

    echo: tuple[str, str] = ("echo", "text")
    """The tool, and the name of its argument."""
    slow: tuple[str, Mapping[str, Any]] = ("count", {"to": STEPS, "milliseconds_apart": APART})
    cancelled: str | None = "cancelled"


@contextmanager
def guarded(directory: Path, server: int) -> Iterator[str]:
    """The URL of a server's resource, with a filter that reads bodies, and its authorization server."""
    with ReservedPort() as reserved:
        url = f"http://127.0.0.1:{reserved.number}/mcp"
        with AuthorizationServer(directory, resources=[url]) as authorization:
            rules = {"operations": [{"method": "tools/call", "name": "not-there-*", "scopes": ["mcp:admin"]}]}
            configuration = {
                "issuers": [{"issuer": authorization.issuer, "cluster": "auth"}],
                "resources": [{"resource": url, "scopes": ["mcp:read"], "filter_lists": True, **rules}],
            }
            listener = Listener(
                wasm=paths.wasm_module(),
                configuration=configuration,
                port=reserved.number,
                holds_headers=True,
                marks=("allow",),
            )
            clusters = {"upstream": server, "auth": authorization.port}
            with Envoy(directory / "guarded", {"mcp": listener}, clusters):
                yield url


def run(directory: Path, server: int, tools: Tools) -> None:
    """Says what it sees; fails where something did not work."""
    with guarded(directory, server) as url:
        _paths(server, url)
        tokens = None
        for era in (MODERN, LEGACY):
            login = Login(tokens=tokens)
            try:
                asyncio.run(_log_in_and_call(url, era, login, tools))
            except BaseExceptionGroup as error:
                if era == LEGACY:
                    raise
                print(f"  {era}: not spoken ({_reason(error)})", flush=True)
            else:
                print(f"  {era}: login, tools/list, tools/call", flush=True)
            tokens = login.tokens
        assert tokens is not None
        with _Session(url, tokens) as session:
            _stream(session, tools)
            _cancellation(session, tools)
            _end(session)


# Paths that a server may take for its own.
_NEAR = ("/", "/elsewhere", "/mcp/", "/mcp/elsewhere", "//mcp", "/MCP", "/mcp;x", "/%6dcp")


def _paths(server: int, url: str) -> None:
    """The paths beside /mcp at which the server serves; through the filter nobody without a token is."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _INITIALIZE}).encode()
    headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
    guard = int(url.rpartition(":")[2].partition("/")[0])
    found = []
    for path in _NEAR:
        if http1.request(server, "POST", path, headers, body, host=f"127.0.0.1:{server}").status == 200:
            found.append(path)
        through = http1.request(guard, "POST", path, headers, body, host=f"127.0.0.1:{guard}").status
        assert through in (400, 401, 403), f"{path} without a token: {through}"
    print(f"  also serves at: {' '.join(found) or 'no other path'}", flush=True)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)[:80]


async def _log_in_and_call(url: str, era: str, login: Login, tools: Tools) -> None:
    async with connect(url, era, login) as connected:
        names = {tool.name for tool in (await connected.client.list_tools()).tools}
        tool, argument = tools.echo
        assert {tool, tools.slow[0]} <= names, names
        said = await connected.client.call_tool(tool, {argument: "hello"})
        assert "hello" in said.content[0].text, said
    statuses = [one.response.status_code for one in connected.exchanges]
    assert statuses.count(401) == (0 if len(login.authorization_urls) == 0 else 1), statuses


class _Session:
    """Requests of 2025-11-25 with a session; to a server that gives none, of 2026-07-28."""

    def __init__(self, url: str, tokens: OAuthToken) -> None:
        self._url = url
        self.client = httpx.Client(
            timeout=60,
            headers={
                "authorization": f"Bearer {tokens.access_token}",
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": LEGACY_VERSION,
            },
        )
        answer = self.post("initialize", _INITIALIZE, 1)
        answer.raise_for_status()
        self.identity = answer.headers.get("mcp-session-id")
        if self.identity is None:
            self.client.headers["mcp-protocol-version"] = MODERN
            return
        self.client.headers["mcp-session-id"] = self.identity
        assert self.post("notifications/initialized", {}).status_code == 202

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def body(self, method: str, params: Mapping[str, Any], identity: int | None = None) -> Json:
        message = {"jsonrpc": "2.0", "method": method, "params": dict(params)}
        return message if identity is None else {**message, "id": identity}

    def post(self, method: str, params: Mapping[str, Any], identity: int | None = None) -> httpx.Response:
        return self.client.post(self._url, json=self.body(method, params, identity))

    def call(self, tool: str, arguments: Mapping[str, Any], identity: int) -> Generator[Json]:
        """The messages of a call's stream, as they come; it asks for progress."""
        meta: Json = {"progressToken": f"p{identity}"}
        headers = {}
        if self.identity is None:
            meta |= {f"io.modelcontextprotocol/{name}": value for name, value in _ABOUT.items()}
            headers = {"mcp-method": "tools/call", "mcp-name": tool}
        params = {"name": tool, "arguments": dict(arguments), "_meta": meta}
        body = self.body("tools/call", params, identity)
        with self.client.stream("POST", self._url, json=body, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            if answer.headers["content-type"].startswith("application/json"):
                yield json.loads(answer.read())
                return
            for line in answer.iter_lines():
                if line.startswith("data:") and line[5:].strip():
                    yield json.loads(line[5:])

    def text(self, tool: str, identity: int) -> str:
        *_, last = self.call(tool, {}, identity)
        return last["result"]["content"][0]["text"]

    def delete(self) -> int:
        return self.client.delete(self._url).status_code



def _stream(session: _Session, tools: Tools) -> None:
    """Notifications come while the tool works: nothing holds the stream back."""
    arrivals = []
    for message in session.call(*tools.slow, 10):
        arrivals.append((time.monotonic(), message))
    first = next(at for at, message in arrivals if "method" in message)
    last, result = arrivals[-1]
    assert "result" in result, result
    # Were they held back, all would come with the end.
    assert last - first > 2 * APART / 1000, arrivals
    told = sum("method" in message for _, message in arrivals)
    print(f"  stream: {told} notifications in {last - first:.1f} s before the result", flush=True)


def _cancellation(session: _Session, tools: Tools) -> None:
    """A call ends at the server when it is cancelled: by a notification, and without sessions by going away."""
    name, arguments = tools.slow
    longer = {key: value * 20 if key in ("to", "steps", "duration") else value for key, value in arguments.items()}
    began = time.monotonic()
    messages = session.call(name, longer, 20)
    next(one for one in messages if "method" in one)
    if session.identity is not None:
        told = session.post("notifications/cancelled", {"requestId": 20, "reason": "no longer wanted"})
        assert told.status_code == 202, told.text
    else:
        messages.close()
    if tools.cancelled is not None:
        deadline = began + 20
        while session.text(tools.cancelled, 21) != "1":
            assert time.monotonic() < deadline, "the call was not cancelled"
            time.sleep(0.1)
        print(f"  cancellation: the tool ended, {time.monotonic() - began:.1f} s after its start", flush=True)
    else:
        print("  cancellation: taken (202)", flush=True)
    messages.close()


def _end(session: _Session) -> None:
    if session.identity is None:
        print(f"  session: none; DELETE is answered {session.delete()}", flush=True)
        return
    deleted = session.delete()
    assert deleted in (200, 202, 204), deleted
    after = session.post("tools/list", {}, 30).status_code
    assert after in (400, 404), after
    print(f"  session: DELETE {deleted}, and what comes after it {after}", flush=True)


__all__ = ["Tools", "run"]
