"""The main job on real parts: the official SDK's client logs in and works, in both eras."""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcp import types
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from support import http1, tokens
from support.authorization import AuthorizationServer
from support.bootstrap import Listener
from support.challenges import parse_challenge
from support.envoy import Envoy
from support.mcp_client import LEGACY, MODERN, REDIRECT_URI, Login, connect
from support.recorder import Recorder
from support.stack import Stack
from support.waiting import until

T = TypeVar("T")

ERAS = pytest.mark.parametrize("mode", [LEGACY, MODERN], ids=["2025-11-25", "2026-07-28"])
VERSIONS = {LEGACY: "2025-11-25", MODERN: "2026-07-28"}

# Long enough for a slow machine, far below a test run: a stream that hangs must fail its test.
PATIENCE = 30


@pytest.fixture(scope="module")
def stack(
    wasm: Path, concurrency: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("stack"),
        wasm,
        concurrency=concurrency,
        issuer={"keys": {"unknown_key_cooldown_seconds": 1}},
    ) as running:
        yield running


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


def text_of(result: types.CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, types.TextContent)
    return content.text


@ERAS
def test_the_sdk_steps_up_for_one_operation(
    wasm: Path, concurrency: int, tmp_path: Path, mode: str
) -> None:
    """Logged in for reading, the client asks for more when a tool needs it, and tries again.

    The client is known beforehand: one that registers itself does so for the scopes of its first
    challenge, and this authorization server then holds it to them.
    """
    operations = [{"method": "tools/call", "name": "whoami", "scopes": ["mcp:admin"]}]
    known = {
        "client_id": "desk",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    with Stack(
        tmp_path,
        wasm,
        concurrency=concurrency,
        resource={"operations": operations},
        authorization={"clients": [known]},
    ) as stack:

        async def work() -> None:
            registered = {**known, "issuer": stack.authorization.issuer}
            login = Login(client=OAuthClientInformationFull.model_validate(registered))
            async with connect(stack.url, mode, login) as connected:
                await connected.client.call_tool("echo", {"text": "hello"})
                assert login.tokens is not None
                assert login.tokens.scope == "mcp:read"
                who = (await connected.client.call_tool("whoami", {})).structured_content
                exchanges = connected.exchanges
            assert who is not None
            assert set(who["x-mcp-scope"].split(" ")) == {"mcp:read", "mcp:admin"}
            assert len(login.authorization_urls) == 2
            [refused] = [one for one in exchanges if one.response.status_code == 403]
            assert parse_challenge(refused.response.headers["www-authenticate"])[1]["scope"] == (
                "mcp:read mcp:admin"
            )

        run(work())


@ERAS
def test_login_from_nothing(stack: Stack, mode: str) -> None:
    """401, metadata, authorization server, registration, code with PKCE, token, tools."""

    async def work() -> None:
        login = Login()
        async with connect(stack.url, mode, login) as connected:
            listed = await connected.client.list_tools()
            who = (await connected.client.call_tool("whoami", {})).structured_content
            exchanges = connected.exchanges
            version = connected.client.protocol_version
        assert version == VERSIONS[mode]
        assert {tool.name for tool in listed.tools} == {"echo", "whoami", "count", "announce"}

        issuer = stack.authorization.issuer
        assert [one.summary for one in exchanges[:5]] == [
            f"POST {stack.url} 401",
            f"GET {stack.metadata_url} 200",
            f"GET {issuer}/.well-known/oauth-authorization-server 200",
            f"POST {issuer}/reg 201",
            f"POST {issuer}/token 200",
        ]
        assert parse_challenge(exchanges[0].response.headers["www-authenticate"]) == (
            "Bearer",
            {"resource_metadata": stack.metadata_url, "scope": "mcp:read"},
        )
        assert [one.response.status_code for one in exchanges[5:]].count(401) == 0
        assert len(login.authorization_urls) == 1
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(login.authorization_urls[0]).query)
        assert asked["resource"] == [stack.url]
        assert "mcp:read" in asked["scope"][0].split()
        assert asked["code_challenge_method"] == ["S256"]

        assert login.tokens is not None and login.client is not None
        claims = tokens.unverified_claims(login.tokens.access_token)
        assert claims["aud"] == stack.url
        assert who == {
            "x-mcp-sub": "alice",
            "x-mcp-client-id": login.client.client_id,
            "x-mcp-scope": "mcp:read",
            "x-mcp-issuer": issuer,
            "authorization_reached_the_server": False,
        }

    run(work())


@ERAS
def test_tools_and_progress(stack: Stack, mode: str) -> None:
    """Progress arrives while the tool runs: the stream of events is not held back."""

    async def work() -> None:
        async with connect(stack.url, mode, Login()) as connected:
            echoed = await connected.client.call_tool("echo", {"text": "h\u00e9llo"})
            assert text_of(echoed) == "h\u00e9llo"
            arrivals: list[float] = []

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                arrivals.append(time.monotonic())

            counted = await connected.client.call_tool(
                "count", {"to": 5, "milliseconds_apart": 100}, progress_callback=progress
            )
            end = time.monotonic()
            assert text_of(counted) == "counted to 5"
            assert len(arrivals) == 5
            # Were they buffered, all would arrive with the end.
            assert end - arrivals[0] > 0.35

    run(work())


def test_session_of_2025(stack: Stack) -> None:
    """The long-lived GET stream delivers, and DELETE ends the session."""

    async def work() -> None:
        changed = asyncio.Event()

        async def on_message(message: object) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                changed.set()

        async with connect(stack.url, LEGACY, Login(), message_handler=on_message) as connected:
            await _until(lambda: connected.sent("GET", "/mcp"))
            stream = connected.sent("GET", "/mcp")[0]
            assert stream.response.status_code == 200
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            await connected.client.call_tool("announce", {})
            await asyncio.wait_for(changed.wait(), 5)
        deleted = connected.sent("DELETE", "/mcp")
        assert [one.response.status_code for one in deleted] == [200]
        request = deleted[0].request
        gone = http1.request(
            stack.envoy.port,
            "POST",
            "/mcp",
            [
                ("authorization", request.headers["authorization"]),
                ("mcp-session-id", request.headers["mcp-session-id"]),
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
            ],
            b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
            host=f"127.0.0.1:{stack.envoy.port}",
        )
        assert gone.status == 404, "the MCP server's own answer"
        assert "jsonrpc" in gone.json()

    run(work())


def test_session_methods_need_a_token(stack: Stack) -> None:
    for method in ("GET", "DELETE", "POST"):
        response = http1.request(stack.envoy.port, method, "/mcp", [("mcp-session-id", "guessed")])
        assert response.status == 401


def test_subscription_of_2026(stack: Stack) -> None:
    """`subscriptions/listen`: a POST whose stream of events stays open."""

    async def work() -> None:
        async with connect(stack.url, MODERN, Login()) as connected:
            async with connected.client.listen(tools_list_changed=True) as subscription:
                await connected.client.call_tool("announce", {})
                event = await asyncio.wait_for(anext(aiter(subscription)), 5)
                assert type(event).__name__ == "ToolsListChanged"
            assert not connected.sent("GET", "/mcp")
        assert not connected.sent("DELETE", "/mcp")

    run(work())


def test_negotiation_finds_the_newest_version(stack: Stack) -> None:
    async def work() -> str:
        async with connect(stack.url, "auto", Login()) as connected:
            return connected.client.protocol_version

    assert run(work()) == VERSIONS[MODERN]


@ERAS
def test_step_up(stack: Stack, mode: str) -> None:
    """403 insufficient_scope makes the client ask for what is missing, once."""

    async def work() -> None:
        poor = stack.authorization.client_credentials(stack.url, "mcp:write")
        login = Login(tokens=OAuthToken.model_validate(poor))
        async with connect(stack.url, mode, login) as connected:
            who = (await connected.client.call_tool("whoami", {})).structured_content
        first = connected.exchanges[0].response
        assert first.status_code == 403
        assert parse_challenge(first.headers["www-authenticate"])[1]["scope"] == "mcp:read"
        assert len(login.authorization_urls) == 1
        assert set(who["x-mcp-scope"].split()) == {"mcp:read", "mcp:write"}

    run(work())


def test_token_for_another_resource(stack: Stack) -> None:
    foreign = stack.authorization.token(stack.other_resource)
    response = http1.get(stack.envoy.port, "/mcp", foreign)
    assert response.status == 401
    assert "audience" in response.json()["error_description"]


def test_client_credentials(stack: Stack) -> None:
    """A machine's token has no person behind it; the MCP server learns which client it is."""
    token = stack.authorization.token(stack.url)

    async def work() -> dict[str, Any]:
        login = Login(tokens=OAuthToken(access_token=token))
        async with connect(stack.url, MODERN, login) as connected:
            assert not login.authorization_urls
            return (await connected.client.call_tool("whoami", {})).structured_content or {}

    assert run(work())["x-mcp-client-id"] == tokens.unverified_claims(token)["client_id"]


def test_rotation_of_the_signing_key(stack: Stack) -> None:
    old = stack.authorization.token(stack.url)
    assert _status(stack, old) != 401
    stack.authorization.rotate(drop_old=False)
    new = stack.authorization.token(stack.url)
    # Within the cooldown of one second a stranger is refused; then one fetch finds the key.
    until(lambda: _status(stack, new) != 401, "the new key to be known", interval=0.2)
    assert _status(stack, old) != 401


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_algorithms(algorithm: str, wasm: Path, recorder: Recorder, tmp_path: Path) -> None:
    """Keys as a real authorization server publishes them, for each algorithm it has."""
    resource = "https://mcp.example.com/mcp"
    with AuthorizationServer(tmp_path, resources=[resource], algorithm=algorithm) as server:
        configuration = {
            "issuers": [{"issuer": server.issuer, "cluster": "auth"}],
            "resources": [{"resource": resource}],
        }
        listener = Listener(wasm=wasm, configuration=configuration)
        clusters = {"upstream": recorder.port, "auth": server.port}
        with Envoy(tmp_path, {"mcp": listener}, clusters) as envoy:
            assert http1.get(envoy.port, "/mcp", server.token(resource)).status == 200


def _status(stack: Stack, token: str) -> int:
    return http1.get(stack.envoy.port, "/mcp", token).status


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
