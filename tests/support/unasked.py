"""Requests without a token, none of which may reach an MCP server that never looks at the path."""

from __future__ import annotations

import itertools

from . import volley
from .recorder import Recorder
from .spellings import spellings

WELL_KNOWN = "/.well-known/oauth-protected-resource"
TARGETS = [
    "/", "/mcp", "/mcp/", "/mcp/sub", "/mcp?x=1", "/mcpx", "/mcp-x", "/mcp.x", "/MCP", "/Mcp/x", "/x", "/x/mcp",
    "/health", "/healthz", "/sse", "/messages", "/message?sessionId=1", "/favicon.ico", "/index.php/mcp",
    "/mcp-auth-keys", "//mcp", "/./mcp", "/x/../mcp", "/mcp/..", "/mcp/../x", "/mcp;x", "/;x/mcp", "/%6dcp",
    "/%2fmcp", "/mcp%2f..", "/mcp%00", "/mcp%20", "/mcp#x", "*", "/*", f"{WELL_KNOWN}", f"{WELL_KNOWN}/mcp",
    f"{WELL_KNOWN}/", f"{WELL_KNOWN}/x", f"{WELL_KNOWN}x", f"{WELL_KNOWN}/mcp/x", f"{WELL_KNOWN}/mcp;x",
    "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp",
    "/.well-known/openid-configuration", "/.well-known/security.txt", "http://mcp.example.com/mcp",
    "http://mcp.example.com/", "http://other.example/mcp", "http://other.example/x",
]  # fmt: skip
COUNT = 200
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "MKCOL")
HOSTS = ("mcp.example.com", "localhost:8080", "other.example", "mcp.example.com:443", "127.0.0.1")
HEADERS = [("origin", "https://app.example"), ("access-control-request-method", "POST")]


def requests() -> list[bytes]:
    more = COUNT - len(TARGETS)
    targets = [one.encode() for one in TARGETS] + spellings(more)
    made = [
        volley.request(target, method, host, headers)
        for target, method, host, headers in itertools.product(
            targets, METHODS, HOSTS, ([], HEADERS)
        )
    ]
    # All of the first target's, a sixth of the rest: each target, method and host among them.
    return made[: len(METHODS) * len(HOSTS) * 2] + made[::6]


def nothing_reaches(server: Recorder, connect: volley.Connect, *, but: int = 0) -> None:
    """`but`: how many requests it had already."""
    sent = requests()
    answers = volley.volley(connect, sent)
    arrived = [one.line for one in server.everything()[but:]]
    by_status: dict[int, int] = {}
    for one in answers:
        by_status[one.status] = by_status.get(one.status, 0) + 1
    print(f"{len(sent)} requests, {COUNT} targets: {by_status}, {len(arrived)} reached the server")
    assert not arrived
    assert by_status.get(401)
