"""Signatures are checked by the host where it can, and has proved it; else the module itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import http1, tokens
from support.waiting import until

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"
CLAIMS = {"iss": ISSUER, "aud": RESOURCE}
ALGORITHMS = {
    "RS256": "rsa-1",
    "PS256": "ps-1",
    "ES256": "ec-1",
    "ES512": "ec-521",
    "EdDSA": "ed-1",
}


@pytest.mark.parametrize("by_host", [True, False], ids=["host", "module"])
def test_signatures(start_envoy: Callable[..., Any], by_host: bool) -> None:
    configuration = {
        "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(ALGORITHMS.values())}],
        "resources": [{"resource": RESOURCE}],
    }
    environment = {} if by_host else {"MCP_AUTH_SIGNATURES": "portable"}
    envoy = start_envoy(configuration, listener={"environment": environment})
    for alg, key in ALGORITHMS.items():
        good = tokens.mint({"key": key, "alg": alg}, CLAIMS)
        head, signature = good.rsplit(".", 1)
        forged = f"{head}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}"
        for token, status in ((good, 200), (good, 200), (forged, 401), (forged, 401)):
            assert http1.get(envoy.port, "/mcp", token).status == status, alg
    told = "is checked by the host" if by_host else "checked in the module, as MCP_AUTH_SIGNATURES"
    until(lambda: told in envoy.log(), "the log to say who does it")
    named = {alg for alg in ALGORITHMS if f"signatures: {alg} is checked by the host" in envoy.log()}
    assert named == ({"RS256", "ES256", "ES512"} if by_host else set())
