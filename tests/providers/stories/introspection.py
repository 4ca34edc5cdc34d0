"""Servers that are asked about tokens (RFC 7662): opaque ones, and JWTs besides their signature.

Each by a real Envoy that adds the credentials, with a login of the official Python SDK's client.
"""

from __future__ import annotations

import functools
import time
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import httpx
from support import http1, paths
from support.bootstrap import Listener, cluster
from support.envoy import Envoy
from support.introspection_server import asking_cluster, basic
from support.mcp_client import LEGACY
from support.mcp_server import McpServer
from support.ports import ReservedPort
from support.recorder import new_test_id
from support.waiting import until

from .. import story
from ..gateway import INITIALIZE, Gateway
from ..servers.django_oauth_toolkit import DjangoOAuthToolkit
from ..servers.hydra import Hydra
from ..servers.oidc_provider import OidcProvider
from ..servers.server import PATIENCE, Json, Server
from ..stage import Running, Stage, check

CACHE = 2
FIRST_REQUESTS = 40


class Asking:
    """The filter before an MCP server; the issuer of its tokens is asked about them."""

    def __init__(self, directory: Path, port: int, server: Server, **introspection: Any) -> None:
        self.url = f"http://127.0.0.1:{port}/mcp"
        asked = server.introspection
        assert asked is not None
        issuer: Json = {
            "issuer": server.issuer,
            "cluster": "issuer",
            "introspection": {
                "cluster": "introspection",
                "endpoint": asked.endpoint,
                "cache_seconds": CACHE,
                **introspection,
            },
        }
        if not isinstance(server, Hydra):
            del issuer["introspection"]["endpoint"]  # The metadata has it.
        configuration = {
            "issuers": [issuer],
            "resources": [{"resource": self.url, "scopes": [server.scope]}],
        }
        if asked.secret is None:
            asking = cluster("introspection", asked.port)
        else:
            credentials = basic(asked.client_id or "", asked.secret)
            asking = asking_cluster("introspection", asked.port, credentials, directory)
        self._stack = ExitStack()
        try:
            self.server = self._stack.enter_context(McpServer(directory))
            listener = Listener(wasm=paths.wasm_module(), configuration=configuration, port=port)
            self.envoy = self._stack.enter_context(
                Envoy(
                    directory,
                    {"mcp": listener},
                    {"upstream": self.server.port, "issuer": server.port},
                    extra_clusters=[asking],
                )
            )
        except BaseException:
            self._stack.close()
            raise

    def judged(self, token: str) -> tuple[int, str | None]:
        test_id = new_test_id()
        headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("x-test-id", test_id),
            ("authorization", f"Bearer {token}"),
        ]
        status = http1.request(
            self.envoy.port,
            "POST",
            "/mcp",
            headers,
            INITIALIZE,
            host=urllib.parse.urlsplit(self.url).netloc,
            timeout=PATIENCE,
        ).status
        reason = self.envoy.logged(test_id, timeout=30)["reason"]
        return status, reason if reason not in ("-", None) else None

    def stop(self) -> None:
        self._stack.close()


def asking(stage: Stage, name: str, start: Callable[..., Server], **introspection: Any) -> None:
    with ReservedPort() as reserved, ExitStack() as stack:
        url = f"http://127.0.0.1:{reserved.number}/mcp"
        folder = stage.directory / name.replace(" ", "-")
        folder.mkdir()
        server = stack.enter_context(start(folder, resources=[url]))
        gateway = Asking(folder / "gateway", reserved.number, server, **introspection)
        stack.callback(gateway.stop)
        try:
            tried(stage, name, server, gateway)
        except BaseException:
            stage.last_logs = f"{server.log()[-3000:]}\n{gateway.envoy.log()[-3000:]}"
            raise


def tried(stage: Stage, name: str, server: Server, gateway: Asking) -> None:
    running = Running(server, cast(Gateway, gateway))
    login = story.new_login(running)
    who, _ = story.run_sdk(running, login, LEGACY)
    check(not who["authorization_reached_the_server"], who)
    seen = {header: value for header, value in who.items() if header.startswith("x-mcp-")}
    stage.saw(f"{name}: login", f"{story.SDK}: the MCP server sees {seen}")

    got = server.login(gateway.url)
    token: str = got["access_token"]
    check(gateway.judged(token) == (200, None), f"a good token: {gateway.judged(token)}")
    check(
        gateway.judged(f"{token[:-4]}AAAA")[0] == 401, f"a changed token: {gateway.judged(token)}"
    )
    if "refresh_token" in got:
        refused = gateway.judged(got["refresh_token"])
        check(refused[0] == 401, f"a refresh token: {refused}")
        stage.saw(f"{name}: its refresh token", f"401 `{refused[1]}`")

    times = []
    for _ in range(FIRST_REQUESTS):
        # The answer is forgotten, and the request asks again.
        time.sleep(CACHE / FIRST_REQUESTS)
        made = f"x{len(times):04}{token[5:]}" if token.count(".") == 0 else token
        began = time.perf_counter()
        gateway.judged(made)
        times.append(time.perf_counter() - began)
    times.sort()
    stage.saw(
        f"{name}: an unknown token",
        f"p50 {times[len(times) // 2] * 1000:.0f} ms, p99 {times[-1] * 1000:.0f} ms with the log line",
    )
    revoke(stage, name, server, gateway, token, got)


def revoke(stage: Stage, name: str, server: Server, gateway: Asking, token: str, got: Json) -> None:
    """The person logs out, or the operator revokes; whatever the server has for that."""
    if isinstance(server, Hydra):
        done = httpx.delete(
            f"{server.admin}/admin/oauth2/auth/sessions/consent",
            params={"subject": "alice", "all": "true"},
            timeout=60,
        )
    else:
        endpoint = server.metadata().get("revocation_endpoint")
        asked = server.introspection
        if endpoint is None or asked is None:
            return
        client = server.introspection.ask(token).get("client_id") if server.introspection else None
        done = httpx.post(endpoint, data={"token": token, "client_id": client or ""}, timeout=60)
    if done.is_error:
        stage.saw(f"{name}: revocation", f"not tried: the server says {done.status_code}")
        return
    began = time.monotonic()
    until(lambda: gateway.judged(token)[0] == 401, "the refusal", timeout=PATIENCE)
    took = time.monotonic() - began
    reason = gateway.judged(token)[1]
    stage.saw(f"{name}: revocation", f"401 `{reason}` after {took:.1f} s, cache_seconds {CACHE}")


def run(stage: Stage) -> None:
    opaque = functools.partial(OidcProvider, opaque=True)
    asking(stage, "oidc-provider", opaque)
    hydra_opaque = functools.partial(Hydra, settings={"STRATEGIES_ACCESS_TOKEN": "opaque"})
    asking(stage, "hydra opaque", hydra_opaque)
    asking(stage, "hydra jwt", Hydra, tokens="all")
    asking(stage, "django", DjangoOAuthToolkit)
