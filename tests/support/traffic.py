"""Requests of every kind through two Envoys with the filter: one enforces, one observes.

What metrics are looked at with: two issuers whose key servers can fail, two resources, and a client
for each way to be let through or refused.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from . import http1, paths, tokens
from .bootstrap import Json, Listener
from .envoy import Envoy
from .introspection_server import IntrospectionServer, asking_cluster
from .key_server import Fault, KeyServer
from .recorder import Recorder
from .waiting import until

LOGIN = "https://login.example.com"
PARTNER = "https://partner.example.com"
MCP = "https://mcp.example.com/mcp"
FILES = "https://mcp.example.com/files"

ENFORCES, OBSERVES = "gateway", "staging"

# Tokens as recipes of support/tokens.py, over those of a good client.
_TOKENS: dict[str, Json] = {
    "good": {},
    "expired": {"claims": {"exp": {"$now": -3600}, "iat": {"$now": -7200}}},
    "audience": {"claims": {"aud": "https://other.example.com/mcp"}},
    "stranger": {"claims": {"iss": "https://stranger.example.com"}},
    "scope": {"claims": {"scope": "profile"}},
    "forged": {"damage": "signature"},
    "unknown-key": {"key": "rsa-other"},
    "malformed": {"damage": "four-parts"},
}
KINDS = (*_TOKENS, "opaque", "login", "metadata", "preflight", "foreign")


def stats_config() -> Json:
    """Of envoy/envoy.yaml, read as the text that it is: the tests have no YAML reader."""
    text = (paths.REPOSITORY / "envoy" / "envoy.yaml").read_text()
    tags = re.findall(r"\{ tag_name: (\w+), regex: '([^']+)' \}", text)
    assert tags, "envoy.yaml has no stats_tags"
    return {"stats_tags": [{"tag_name": name, "regex": regex} for name, regex in tags]}


class Traffic:
    """`keys`: the timings of both issuers."""

    def __init__(self, directory: Path, wasm: Path, *, keys: Json, concurrency: int = 1) -> None:
        self._stack = ExitStack()
        self._tokens: dict[tuple[str, str, str], str] = {}
        self._waiting: list[threading.Thread] = []
        self.signing = {LOGIN: "rsa-1", PARTNER: "ec-1"}
        """Which key signs the good tokens of each issuer."""
        try:
            enter = self._stack.enter_context
            recorder = enter(Recorder())
            self.login = enter(KeyServer([tokens.public_jwk("rsa-1")], issuer=LOGIN))
            # The second one is too short to be used.
            self.partner = enter(
                KeyServer(
                    [tokens.public_jwk("ec-1"), tokens.public_jwk("rsa-small")], issuer=PARTNER
                )
            )
            # First requests wait for these keys.
            self.partner.behave(Fault.HANG)
            asked = enter(IntrospectionServer())
            clusters = {
                "upstream": recorder.port,
                "login": self.login.port,
                "partner": self.partner.port,
            }
            self.envoys = {
                name: enter(
                    Envoy(
                        directory / name,
                        {
                            "mcp": Listener(
                                wasm=wasm,
                                configuration=_configuration(mode, keys, asked.endpoint),
                                holds_headers=True,
                            )
                        },
                        clusters,
                        concurrency=concurrency,
                        extra_clusters=[
                            asking_cluster(
                                "asked", asked.port, asked.credentials, directory / f"{name}-secrets"
                            )
                        ],
                        more={"stats_config": stats_config()},
                    )
                )
                for name, mode in ((ENFORCES, "enforce"), (OBSERVES, "observe"))
            }
        except BaseException:
            self._stack.close()
            raise

    @property
    def admin_ports(self) -> dict[str, int]:
        return {name: envoy.admin_port for name, envoy in self.envoys.items()}

    def hold(self, count: int) -> None:
        """Has requests wait for the partner's keys, which must be unknown yet."""
        for _ in range(count):
            thread = threading.Thread(target=self.send, args=("good", ENFORCES, FILES), daemon=True)
            thread.start()
            self._waiting.append(thread)

    def let_go(self) -> None:
        """Ends that wait, and every other of the partner's key server."""
        self.partner.behave()
        self.partner.let_go()
        for thread in self._waiting:
            thread.join(30)
        self._waiting.clear()

    def hold_body(self) -> None:
        """Has the filter hold a body of the partner's, which must be let go: its end is to come."""
        token = self._token("good", FILES)
        head = f"POST /files HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n"
        address = ("127.0.0.1", self.envoys[ENFORCES].port)
        connection = self._stack.enter_context(socket.create_connection(address, timeout=10))
        connection.sendall(f'{head}content-length: 100\r\n\r\n{{"jsonrpc":'.encode())

    def send(self, kind: str, envoy: str = ENFORCES, resource: str = MCP) -> int:
        """One request; its status."""
        port = self.envoys[envoy].port
        path = resource.removeprefix("https://mcp.example.com")
        if kind == "metadata":
            path = f"/.well-known/oauth-protected-resource{path}"
        elif kind == "foreign":
            path = "/health"
        elif kind == "preflight":
            headers = [("origin", "https://app.example"), ("access-control-request-method", "POST")]
            return http1.request(port, "OPTIONS", path, headers).status
        # Its issuer calls it inactive.
        opaque = "an-opaque-token-of-nobody" if kind == "opaque" else None
        token = self._token(kind, resource) if kind in _TOKENS else opaque
        return http1.get(port, path, token).status

    def send_all(self, kinds: Iterable[str] = KINDS) -> None:
        """One of each, to both Envoys."""
        for name in self.envoys:
            for kind in kinds:
                self.send(kind, name)

    def _token(self, kind: str, resource: str) -> str:
        issuer, scope = (PARTNER, "files:read") if resource == FILES else (LOGIN, "mcp:read")
        key = self.signing[issuer]
        if (kind, resource, key) not in self._tokens:
            claims = {"iss": issuer, "aud": resource, "sub": "alice", "scope": scope}
            recipe: dict[str, Any] = {"key": key, **_TOKENS[kind]}
            self._tokens[kind, resource, key] = tokens.mint(
                recipe, {**claims, "exp": {"$now": 3600}}
            )
        return self._tokens[kind, resource, key]

    def wait_for(self, metric: str, envoy: str = ENFORCES) -> None:
        """Until it is there and is not 0: workers tell once a second."""
        until(
            lambda: any(self.envoys[envoy].stats(f"wasmcustom.mcp_auth_{metric}").values()),
            metric,
            timeout=30,
        )

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _configuration(mode: str, keys: Json, endpoint: str) -> Json:
    return {
        "mode": mode,
        "issuers": [
            {
                "issuer": issuer,
                "cluster": cluster,
                "jwks_uri": f"{issuer}/keys",
                "keys": keys,
                **more,
            }
            for issuer, cluster, more in (
                (LOGIN, "login", {"introspection": {"cluster": "asked", "endpoint": endpoint}}),
                (PARTNER, "partner", {}),
            )
        ],
        "resources": [
            {"resource": MCP, "issuers": [LOGIN], "scopes": ["mcp:read"]},
            {
                "resource": FILES,
                "issuers": [PARTNER],
                "scopes": ["files:read"],
                "operations": [{"method": "tools/call", "name": "delete", "deny": True}],
            },
        ],
    }
