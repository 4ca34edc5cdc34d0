"""Trailers of requests, which an HTTP/2 upstream gets: none of them says who is calling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import bootstrap, http2, tokens
from support.key_server import KeyServer

RESOURCE = "https://mcp.example.com/mcp"
CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}'
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}
TRAILERS = [
    (b"x-mcp-sub", b"mallory"),
    (b"x_mcp_scope", b"mcp:admin"),
    (b"x!mcp!issuer", b"https://evil.example"),
    (b"x_user_email", b"root@example.com"),
    (b"authorization", b"Bearer x"),
    (b"x-checksum", b"1"),
]


@pytest.mark.parametrize("holds_headers", [True, False], ids=["headers-held", "headers-not-held"])
@pytest.mark.parametrize("operations", [True, False], ids=["operations", "no-operations"])
def test_no_trailer_says_who_calls(
    start_envoy: Callable[..., Any], holds_headers: bool, operations: bool
) -> None:
    rules = [{"method": "tools/call", "name": "delete", "scopes": ["mcp:admin"]}]
    with KeyServer([tokens.public_jwk("ec-1")]) as keys, http2.Upstream() as upstream:
        configuration = {
            "issuers": [{"issuer": keys.issuer, "cluster": "auth"}],
            "resources": [
                {
                    "resource": RESOURCE,
                    "identity_headers": {"email": "x-user-email"},
                    **({"operations": rules} if operations else {}),
                }
            ],
        }
        envoy = start_envoy(
            configuration,
            {"auth": keys.port},
            listener={"upstream": "http2", "holds_headers": holds_headers},
            extra_clusters=[
                bootstrap.cluster("http2", upstream.port)
                | {"typed_extension_protocol_options": HTTP2}
            ],
        )
        token = tokens.mint(
            {"key": "ec-1"}, {"iss": keys.issuer, "aud": RESOURCE, "email": "a@example.com"}
        )

        def send(path: bytes, body: bytes) -> list[tuple[str, str]]:
            headers = [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":authority", b"mcp.example.com"),
                (b":path", path),
                (b"authorization", f"Bearer {token}".encode()),
            ]
            before = len(upstream.seen)
            assert http2.request(envoy.port, headers, body, TRAILERS).status == 200
            (arrived,) = upstream.seen[before:]
            assert arrived.body == body
            assert dict(arrived.headers).get("x-user-email") == (
                "a@example.com" if path == b"/mcp" else None
            )
            return arrived.trailers

        # The first waits for keys.
        for _ in range(3):
            assert send(b"/mcp", CALL) == [("x-checksum", "1")]
        # On a path of no resource nothing is touched.
        assert len(send(b"/health", CALL)) == len(TRAILERS)
