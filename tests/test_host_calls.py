"""The host calls of each kind of request: they are most of what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from bench import floor
from support import paths, tokens, wasm_host

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"

# Beside reading the path, or all headers, and the clock.
READ_PATH = {"get_header_map_value": 1}
READ_HEAD = READ_PATH | {"get_header_map_pairs": 1, "get_current_time_nanoseconds": 1}
FORWARD = READ_HEAD | {
    "remove_header_map_value": 1,  # the token
    "add_header_map_value": 4,  # identity headers
    "set_property": 5,  # the mark, and four facts about the caller
}
REFUSE = READ_HEAD | {"set_property": 1, "send_local_response": 1, "log": 1}
VERIFY = {"call_foreign_function": 1}
PROVE = {"call_foreign_function": 3, "log": 1}  # once for each algorithm


def configuration(**resource: Any) -> dict[str, Any]:
    return {
        "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(["rsa-1", "ed-1"])}],
        "resources": [{"resource": RESOURCE, **resource}],
    }


def request(path: str, token: str | None = None, *more: tuple[str, str]) -> list[tuple[str, str]]:
    headers = [(":authority", "mcp.example.com"), (":path", path), (":method", "GET")]
    credentials = [] if token is None else [("authorization", f"Bearer {token}")]
    return [*headers, *credentials, *more]


def mint(key: str = "rsa-1", **claims: Any) -> str:
    named = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "c", "scope": "mcp:read"}
    return tokens.mint({"key": key}, {**named, **claims})


def added(*counts: dict[str, int]) -> dict[str, int]:
    names = {name for one in counts for name in one}
    return {name: sum(one.get(name, 0) for one in counts) for name in names}


@pytest.fixture(scope="module")
def module() -> Path:
    return paths.wasm_module()


def test_calls_of_each_kind_of_request(module: Path) -> None:
    good, other, plain = mint(), mint(sub="bob"), mint("ed-1")
    forged = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    many = [(f"x-header-{number}", "value") for number in range(90)]
    expected = [
        ("a path of no resource", request("/health"), READ_PATH | {"set_property": 1}),
        ("the same with a token", request("/health", good), READ_PATH | {"set_property": 1}),
        ("metadata", request(METADATA), READ_HEAD | {"send_local_response": 1}),
        # Every login begins so: it is not logged.
        ("no token", request("/mcp"), added(REFUSE, {"log": -1})),
        ("the first RS256 token", request("/mcp", good), added(FORWARD, PROVE, VERIFY)),
        ("the same token", request("/mcp", good), FORWARD),
        ("another token", request("/mcp", other), added(FORWARD, VERIFY)),
        ("many headers", request("/mcp", good, *many), FORWARD),
        ("a token that the host cannot check", request("/mcp", plain), FORWARD),
        ("a forged token", request("/mcp", forged), added(REFUSE, VERIFY)),
        ("the same forged token", request("/mcp", forged), REFUSE),
        ("an expired token", request("/mcp", mint(exp=1)), REFUSE),
    ]
    outcomes = wasm_host.run(
        module, configuration(), [headers for _, headers, _ in expected], now=int(time.time())
    )
    for (name, _, calls), outcome in zip(expected, outcomes, strict=True):
        assert dict(outcome.calls) == {one: count for one, count in calls.items() if count}, name


def test_only_what_is_configured_is_told(module: Path) -> None:
    quiet = configuration(filter_state=[], identity_headers={}, forward_token=True)
    first, again = wasm_host.run(module, quiet, [request("/mcp", mint())] * 2, now=int(time.time()))
    assert first.state == again.state == {"mcp_auth": "allow"}
    assert dict(again.calls) == READ_HEAD | {"set_property": 1}


def test_the_floor_of_the_benchmarks_makes_the_same_calls(module: Path, tmp_path: Path) -> None:
    headers = {"sub": "x-mcp-sub", "client_id": "x-mcp-client-id", "scope": "x-mcp-scope"}
    measured = configuration(identity_headers=headers, filter_state=[])
    for path, floor_module in [
        ("/mcp", floor.for_a_known_token(tmp_path / "known.wasm", list(headers.values()))),
        ("/health", floor.for_a_foreign_path(tmp_path / "foreign.wasm")),
    ]:
        requests = [request(path, mint())] * 2
        _, ours = wasm_host.run(module, measured, requests, now=int(time.time()))
        _, least = wasm_host.run(floor_module, measured, requests, now=int(time.time()))
        assert least.calls == ours.calls
        assert least.state == ours.state


@pytest.mark.parametrize(
    "call",
    [
        "get_header_map_value",
        "get_header_map_pairs",
        "get_current_time_nanoseconds",
        "remove_header_map_value",
        "add_header_map_value",
        "set_property",
    ],
)
def test_what_the_host_does_not_let_be_judged_is_refused(module: Path, call: str) -> None:
    requests = [request("/mcp", mint())]
    (outcome,) = wasm_host.run(
        module, configuration(), requests, now=int(time.time()), fails=[call]
    )
    assert outcome.paused
    assert outcome.reply is not None
    assert outcome.reply["status"] == 503
    assert "www-authenticate" not in dict(outcome.reply["headers"])
    facts = {
        "mcp_auth_issuer": ISSUER,
        "mcp_auth_subject": "alice",
        "mcp_auth_client": "c",
        "mcp_auth_scopes": "mcp:read",
    }
    assert outcome.state == {
        # Where filter state is what fails, nobody can be told.
        "set_property": {},
        # Headers are added last: who called has been told by then.
        "add_header_map_value": {**facts, "mcp_auth_reason": "internal"},
    }.get(call, {"mcp_auth_reason": "internal"})
