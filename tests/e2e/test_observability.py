"""The traces of a refusal for an operator: a counter with labels, a log line, the access log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

from support import http1, tokens
from support.cases import config
from support.recorder import new_test_id
from support.waiting import until

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"
CLAIMS = {"iss": ISSUER, "aud": RESOURCE, "scope": "mcp:read"}


def test_a_refusal_is_counted_logged_and_marked(start_envoy: Callable[..., Any]) -> None:
    envoy = start_envoy(config("one").filter)
    for reason, claims, evidence in [
        (
            "audience_not_allowed",
            {"aud": "https://other.example/\r\n\u001b[2J"},
            rf'expected={RESOURCE} found="https://other.example/\r\n\u{{1b}}[2J"',
        ),
        (
            "issuer_not_allowed",
            {"iss": "https://evil.example"},
            f'issuer=- expected={ISSUER} found="https://evil.example"',
        ),
        ("expired", {"exp": 1_000_000_000}, f"issuer={ISSUER} expected=exp after "),
    ]:
        test_id = new_test_id()
        token = tokens.mint({"claims": {**CLAIMS, **claims}})
        headers = [("authorization", f"Bearer {token}"), ("x-test-id", test_id)]
        response = http1.request(envoy.port, "POST", "/mcp", headers, host="mcp.example.com")
        assert response.status == 401
        assert envoy.logged(test_id)["reason"] == reason

        label = "" if reason == "issuer_not_allowed" else ISSUER
        name = f"mcp_auth_refused_total;reason={reason};resource={RESOURCE};issuer={label}"

        def counted(name: str = name) -> list[int]:
            return [count for one, count in envoy.stats("refused").items() if one.endswith(name)]

        # Envoy shows a counter from the moment it is defined on, with nothing counted yet.
        until(lambda: any(counted()), f"the counter {name}")
        assert counted() == [1]
        lines = [line for line in envoy.log().splitlines() if f"refused: reason={reason} " in line]
        assert len(lines) == 1
        assert f"resource={RESOURCE} " in lines[0]
        assert evidence in lines[0]
        assert " request_id=" in lines[0]


def test_the_start_of_a_login_is_counted_but_not_logged(start_envoy: Callable[..., Any]) -> None:
    envoy = start_envoy(config("one").filter)
    assert http1.request(envoy.port, "POST", "/mcp", host="mcp.example.com").status == 401
    until(lambda: envoy.stats("credentials_missing"), "the counter")
    assert "refused:" not in envoy.log()


def test_a_flood_is_counted_but_does_not_fill_the_log(start_envoy: Callable[..., Any]) -> None:
    envoy = start_envoy(config("one").filter, concurrency=1)
    expired = tokens.mint({"claims": {**CLAIMS, "exp": 1_000_000_000}})
    sent = 1000
    connection = HTTPConnection("127.0.0.1", envoy.port, timeout=15)
    began = time.monotonic()
    for _ in range(sent):
        connection.request("GET", "/mcp", headers={"authorization": f"Bearer {expired}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 401
    seconds = time.monotonic() - began
    connection.close()

    def counted() -> bool:
        return sum(envoy.stats("refused_total;reason=expired").values()) == sent

    def written() -> int:
        return envoy.log().count("refused: reason=expired ")

    def left_out() -> int:
        found = re.findall(r"refused: (\d+) more, which are counted", envoy.log())
        return sum(map(int, found))

    until(counted, "the counter")
    until(lambda: written() + left_out() == sent, "the number of lines left out")
    # 100 a second; at the begin and at the end one more second may have begun.
    assert 100 <= written() <= 100 * (seconds + 2)
