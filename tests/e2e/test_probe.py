"""`mcp-auth probe` against real servers, and its verdicts beside real logins.

`tests/cli/probe/` has the faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import http1, tool
from support.broken_challenges import ALL, CHANGES, FAILS, OUTCOMES, READ, WORKS
from support.clients import SDKS
from support.mcp_server import McpServer
from support.relay import Relay
from support.stack import Stack
from support.waiting import until

NAMES = ("Python SDK", "TypeScript SDK", "TypeScript SDK 1", "Rust SDK")
"""The tool's names of SDKS."""


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running


@pytest.fixture(scope="module")
def stack(relay: Relay, wasm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("stack"),
        wasm,
        public_port=relay.port,
        resource={"scopes_supported": ["mcp:read", "mcp:write"]},
    ) as running:
        relay.forward_to = running.envoy.port
        token = running.authorization.token(running.url)
        until(lambda: http1.get(running.envoy.port, "/mcp", token).status != 503, "first keys")
        yield running


@pytest.fixture(autouse=True)
def unchanged(relay: Relay) -> Iterator[None]:
    yield
    relay.edit = lambda status, challenge: [challenge]


def test_behind_the_filter_everybody_logs_in(stack: Stack) -> None:
    report = tool.probe(stack.url, stack.authorization.token(stack.url))
    assert tool.marked(report, "fail") == [], report["checks"]
    # The first is of the server behind the filter, the rest of oidc-provider: no page may register there.
    assert tool.marked(report, "note") == ["json-404", "offline-access", "cors-issuer"]
    assert report["good"]
    left_out = [one["name"] for one in report["clients"] if one["verdict"] != "logs in"]
    # This test has no TLS.
    assert left_out == ["Claude (web, desktop)"]
    assert {one["scopes"] for one in report["clients"] if "scopes" in one} == {"challenge"}


def test_a_server_without_any_protection_is_open(tmp_path: Path) -> None:
    with McpServer(tmp_path) as server:
        report = tool.probe(f"http://127.0.0.1:{server.port}/mcp")
    assert "open" in tool.marked(report, "fail")
    assert set(tool.verdicts(report).values()) == {"open"}


@pytest.mark.parametrize(
    ("step", "change"), OUTCOMES, ids=["-".join(one).replace(" ", "_") for one in OUTCOMES]
)
def test_the_verdicts_are_those_of_real_logins(
    relay: Relay, stack: Stack, step: str, change: str
) -> None:
    """`OUTCOMES` is what the SDKs did when their logins were run (test_clients.py)."""
    status = 403 if step == "step-up" else 401

    def edit(answered: int, challenge: str) -> list[str]:
        # The first 401 has no `error`: where that is taken away, expiry is meant.
        if answered != status or (change == "no error" and "error=" not in challenge):
            return [challenge]
        return CHANGES[change](challenge)

    relay.edit = edit
    # Enough for a 401 once it was changed, and for a 403 as it is.
    scope = "mcp:write" if step == "step-up" else "mcp:read"
    report = tool.probe(stack.url, stack.authorization.token(stack.url, scope))
    sdks = [one for one in report["clients"] if one["official"]]
    assert [one["name"] for one in sdks] == list(NAMES)
    for sdk, one, outcome in zip(SDKS, sdks, OUTCOMES[step, change], strict=True):
        if step == "step-up":
            said = WORKS if one["steps_up"] else FAILS
        elif step == "expiry":
            said = WORKS if one["again"]["verdict"] == "logs in" else FAILS
        elif one["verdict"] == "logs in":
            said = {"challenge": READ, "metadata": ALL}[one["scopes"]]
        else:
            said = FAILS
        assert said == outcome, (sdk.name, one)
