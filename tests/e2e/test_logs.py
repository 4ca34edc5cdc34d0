"""Logs, as docs/observability.md has them: who answered, what shows at which level, and no tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cases, http1, tokens, traps
from support.bootstrap import Listener, http_filters
from support.envoy import Envoy
from support.recorder import Recorder, new_test_id
from support.waiting import until

CLAIMS = {
    "iss": "https://auth.example.com",
    "aud": "https://mcp.example.com/mcp",
    "scope": "mcp:read",
    # Longer than the whole suite takes.
    "exp": {"$now": 7200},
}
GOOD = tokens.mint({}, CLAIMS)
FORGED = tokens.mint({"damage": "signature"}, CLAIMS)


@pytest.fixture(scope="module")
def envoy(
    wasm: Path, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    """With listeners whose filter works, is off, is disabled, and crashes."""
    directory = tmp_path_factory.mktemp("logs")
    trap = directory / "trap.wasm"
    trap.write_bytes(traps.module())
    works = Listener(wasm=wasm, configuration=cases.config("one").filter)
    disabled = http_filters(works)
    disabled[0]["disabled"] = True
    listeners = {
        "works": works,
        "off": Listener(wasm=wasm, configuration={**cases.config("one").filter, "enabled": False}),
        "observes": Listener(wasm=wasm, configuration=cases.config("observe").filter),
        "disabled": Listener(
            wasm=wasm, configuration=works.configuration, manager={"http_filters": disabled}
        ),
        "crashes": Listener(wasm=trap, configuration={}, vm_id="trap"),
    }
    with Envoy(directory, listeners, {"upstream": recorder.port}) as running:
        yield running


@pytest.mark.parametrize(
    ("listener", "path", "token", "status", "details", "mark", "reason"),
    [
        ("works", "/mcp", GOOD, 200, "via_upstream", "allow", None),
        ("works", "/health", None, 200, "via_upstream", "pass", None),
        ("works", "/mcp", FORGED, 401, "", None, "signature_invalid"),
        ("works", "/.well-known/oauth-protected-resource/mcp", None, 200, "", None, None),
        ("observes", "/mcp", FORGED, 200, "via_upstream", "observe", "signature_invalid"),
        ("observes", "/mcp", GOOD, 200, "via_upstream", "allow", None),
        ("off", "/mcp", None, 200, "via_upstream", "off", None),
        ("disabled", "/mcp", GOOD, 403, "rbac_access_denied_matched_policy[none]", None, None),
        ("crashes", "/mcp", GOOD, 503, "wasm_fail_stream", None, None),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_the_access_log_says_who_answered(
    envoy: Envoy,
    listener: str,
    path: str,
    token: str | None,
    status: int,
    details: str,
    mark: str | None,
    reason: str | None,
) -> None:
    test_id = new_test_id()
    answer = http1.get(envoy.ports[listener], path, token, [("x-test-id", test_id)])
    assert answer.status == status
    line = envoy.logged(test_id)
    assert (line["details"] or "", line["mark"], line["reason"]) == (details, mark, reason)


def _logged_at(envoy: Envoy, level: str) -> str:
    """Returns what a good and a bad request add to the log at this level."""
    assert envoy.admin(f"/logging?{level}", "POST")[0] == 200
    before = len(envoy.log())
    for token in (GOOD, FORGED):
        test_id = new_test_id()
        http1.get(envoy.ports["works"], "/mcp", token, [("x-test-id", test_id)])
        envoy.logged(test_id)
    envoy.admin("/logging?level=warning", "POST")
    envoy.admin("/logging?wasm=info", "POST")
    return envoy.log()[before:]


@pytest.mark.parametrize(
    ("level", "refusals", "calls"),
    [("wasm=warning", 0, False), ("wasm=info", 1, False), ("wasm=debug", 1, False), ("wasm=trace", 1, True)],
)  # fmt: skip
def test_levels_of_the_filter(envoy: Envoy, level: str, refusals: int, calls: bool) -> None:
    said = _logged_at(envoy, level)
    assert said.count("refused: reason=signature_invalid") == refusals
    assert ("proxy_on_request_headers" in said) == calls
    for token in (GOOD, FORGED):
        assert not any(part[:40] in said for part in token.split("."))


def test_envoys_own_debug_level_writes_tokens(envoy: Envoy) -> None:
    """Why the document warns of it. Should this fail one day, the warning can go."""
    said = until(lambda: _logged_at(envoy, "http=debug"), "Envoy's lines")
    assert GOOD in said
