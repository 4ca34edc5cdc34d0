"""An Envoy with four workers, a key server, and what they use of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import paths
from support.bootstrap import Json, Listener
from support.envoy import Envoy
from support.key_server import KeyServer
from support.waiting import until

from .signing import RESOURCE, SigningKey

WORKERS = 4

# The answer comes from behind filter and interlock, without an upstream that could be the bottleneck.
_ROUTES: Json = {
    "name": "local",
    "virtual_hosts": [
        {
            "name": "all",
            "domains": ["*"],
            "routes": [
                {
                    "match": {"prefix": "/"},
                    "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
                }
            ],
        }
    ],
}


def issuer(server: KeyServer, cluster: str = "keys", query: str = "", **keys: int) -> Json:
    """One whose keys are at the server's `jwks_uri`; `keys` are its timings.

    With another `query` the keys are at another place: they have to be fetched anew.
    """
    return {
        "issuer": server.issuer,
        "cluster": cluster,
        "jwks_uri": server.jwks_uri + query,
        "keys": keys,
    }


def configuration(*issuers: Json, name: str = "MCP") -> Json:
    return {"issuers": list(issuers), "resources": [{"resource": RESOURCE, "name": name}]}


def listener(configuration: Json, port: int = 0) -> Listener:
    """With the filter and the interlock."""
    return Listener(wasm=paths.wasm_module(), configuration=configuration, port=port, **_common())


def native_listener(server: KeyServer, cache_seconds: int) -> Listener:
    """With Envoy's own filter for tokens instead."""
    return Listener(
        wasm=None, configuration={}, before=[_jwt_authn(server, cache_seconds)], **_common()
    )


def _common() -> dict[str, Any]:
    return {
        "manager": {"access_log": [], "route_config": _ROUTES},
        # Else it is left to chance which workers get connections.
        "exact_balance": True,
    }


def _jwt_authn(server: KeyServer, cache_seconds: int) -> Json:
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3"
            ".JwtAuthentication",
            "providers": {
                "provider": {
                    "issuer": server.issuer,
                    "audiences": [RESOURCE],
                    "remote_jwks": {
                        "http_uri": {"uri": server.jwks_uri, "cluster": "keys", "timeout": "5s"},
                        "cache_duration": f"{cache_seconds}s",
                        "async_fetch": {"fast_listener": True},
                    },
                }
            },
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "provider"}}],
        },
    }


@contextmanager
def envoy(
    directory: Path,
    one: Listener,
    servers: Mapping[str, KeyServer],
    *,
    dynamic: bool = False,
    drain_seconds: int = 2,
    more_clusters: Sequence[Json] = (),
) -> Iterator[Envoy]:
    """Runs one, with a cluster for each key server, and more; says so if it has crashed meanwhile."""
    clusters = {name: server.port for name, server in servers.items()}
    with Envoy(
        _new(directory),
        {"mcp": one},
        clusters,
        concurrency=WORKERS,
        dynamic=dynamic,
        drain_seconds=drain_seconds,
        extra_clusters=more_clusters,
    ) as running:
        yield running
        running.check()


def _new(directory: Path) -> Path:
    number = sum(1 for one in directory.glob("envoy-*"))
    return directory / f"envoy-{number}"


@contextmanager
def key_server(*keys: SigningKey, **options: Any) -> Iterator[KeyServer]:
    with KeyServer([key.jwk for key in keys], **options) as running:
        yield running


def publish(server: KeyServer, *keys: SigningKey) -> None:
    server.keys = [key.jwk for key in keys]


def connections_of_workers(running: Envoy) -> list[int]:
    """How many connections each worker has now."""
    found = running.stats(r"^listener\..*\.worker_\d+\.downstream_cx_active$")
    return [found[name] for name in sorted(found)]


def waiting_requests(running: Envoy) -> int:
    return running.stat("wasmcustom.mcp_auth_held_requests")


def failed_fetches(running: Envoy, issuer: str) -> int:
    """By the filter's own count: a key server that refuses connections cannot count."""
    found = running.stats("mcp_auth_key_fetches_total")
    return sum(
        count
        for name, count in found.items()
        if f";issuer={issuer};" in name and not name.endswith(";result=ok")
    )


def until_waiting(running: Envoy, count: int, timeout: float = 15.0) -> None:
    """Waits until so many requests wait for keys in the filter."""
    until(
        lambda: waiting_requests(running) == count,
        f"{count} requests to wait for keys (now {waiting_requests(running)})",
        timeout=timeout,
    )


def resident_bytes(pid: int) -> int:
    with Path(f"/proc/{pid}/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
