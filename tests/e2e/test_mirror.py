"""Clients of 2025-03-26 look for the authorization server at the MCP server's own host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support import http1, tokens
from support.envoy import Envoy
from support.key_server import Fault, KeyServer
from support.waiting import until

PLACES = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server/mcp",
]

StartEnvoy = Callable[..., Envoy]


def start(start_envoy: StartEnvoy, server: KeyServer, *, mirrored: bool = True) -> Envoy:
    issuer: dict[str, Any] = {"issuer": server.issuer, "cluster": "auth"}
    if mirrored:
        issuer["authorization_server_metadata"] = True
    made = {"issuers": [issuer], "resources": [{"resource": "https://mcp.example.com/mcp"}]}
    return start_envoy(made, {"auth": server.port})


def test_the_issuers_metadata_is_served_as_it_is(start_envoy: StartEnvoy) -> None:
    with KeyServer([tokens.public_jwk("rsa-1")]) as server:
        envoy = start(start_envoy, server)
        for place in PLACES:
            answer = http1.request(envoy.port, "GET", place, [("origin", "https://app.example")])
            assert answer.status == 200
            assert answer.header("content-type") == "application/json"
            assert answer.header("access-control-allow-origin") == "*"
            assert answer.json()["issuer"] == server.issuer
            assert answer.json()["token_endpoint"] == f"{server.origin}/token"
        assert http1.request(envoy.port, "POST", PLACES[0]).status == 405
        missing = http1.request(envoy.port, "GET", f"{PLACES[1]}/other")
        assert missing.status == 404
        assert missing.json()["error"] == "invalid_request"


def test_workers_fetch_it_once_together(start_envoy: StartEnvoy) -> None:
    with KeyServer([tokens.public_jwk("rsa-1")]) as server:
        issuer = {
            "issuer": server.issuer,
            "cluster": "auth",
            "jwks_uri": server.jwks_uri,
            "authorization_server_metadata": True,
        }
        made = {"issuers": [issuer], "resources": [{"resource": "https://mcp.example.com/mcp"}]}
        envoy = start_envoy(made, {"auth": server.port}, concurrency=2)
        for _ in range(20):  # each on a connection of its own, which either worker may accept
            assert http1.request(envoy.port, "GET", PLACES[0]).status == 200
        assert sum(count for path, count in server.fetched().items() if "/.well-known/" in path) == 1


def test_metadata_that_cannot_be_fetched_is_503(start_envoy: StartEnvoy) -> None:
    with KeyServer([tokens.public_jwk("rsa-1")]) as server:
        server.behave(Fault.WRONG_ISSUER, document="discovery")
        envoy = start(start_envoy, server)
        answer = http1.request(envoy.port, "GET", PLACES[0])
        assert answer.status == 503
        assert answer.header("retry-after")
        server.behave(document="discovery")
        until(
            lambda: http1.request(envoy.port, "GET", PLACES[0]).status == 200,
            "the document",
            timeout=20,
            interval=0.1,
        )


def test_it_is_off_by_default(start_envoy: StartEnvoy) -> None:
    with KeyServer([tokens.public_jwk("rsa-1")]) as server:
        envoy = start(start_envoy, server, mirrored=False)
        answer = http1.request(envoy.port, "GET", PLACES[0])
        assert "token_endpoint" not in answer.json(), "it is the upstream's to answer"
