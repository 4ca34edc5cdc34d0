"""A gateway of four workers, its key server, and keys that can be rotated."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from support import http1, paths
from support.bootstrap import Json, Listener
from support.envoy import Envoy
from support.key_server import KeyServer
from support.ports import ReservedPort

RESOURCE = "https://mcp.example.com/mcp"
WORKERS = 4


class Key:
    """Ed25519: in WebAssembly the cheapest to verify, so that the load leaves the machine idle."""

    _made = 0

    def __init__(self) -> None:
        Key._made += 1
        self.kid = f"key-{Key._made}"
        self._private = Ed25519PrivateKey.generate()

    @property
    def jwk(self) -> Json:
        public = json.loads(OKPAlgorithm.to_jwk(self._private.public_key()))
        return {**public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    def token(self, issuer: str) -> str:
        now = int(time.time())
        claims = {"iss": issuer, "aud": RESOURCE, "sub": "alice", "iat": now, "exp": now + 3600}
        return jwt.encode(
            claims, self._private, "EdDSA", headers={"kid": self.kid, "typ": "at+jwt"}
        )


class World:
    """Starts what a scenario asks for, and ends all of it with the scenario."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._refused = stack.enter_context(ReservedPort())
        self._envoys = 0

    def key_server(self, *keys: Key, **options: Any) -> KeyServer:
        return self._stack.enter_context(KeyServer([key.jwk for key in keys], **options))

    def envoy(self, listener: Listener, server: KeyServer, **options: Any) -> Envoy:
        self._envoys += 1
        envoy = Envoy(
            self._directory / f"envoy-{self._envoys}",
            {"mcp": listener},
            {"keys": server.port, "upstream": self._refused.number},
            concurrency=WORKERS,
            log_level="error,wasm:error",
            **options,
        )
        self._stack.callback(envoy.stop)
        return envoy


@contextmanager
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="mcp-auth-chaos-"))
    try:
        with ExitStack() as stack:
            yield World(directory, stack)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def listener(configuration: Json, **options: Any) -> Listener:
    """The filter under test, in front of an answer that costs nothing."""
    return Listener(
        wasm=paths.wasm_module(),
        configuration=configuration,
        exact_balance=True,
        manager=DIRECT,
        **options,
    )


# No upstream and no access log: what is measured is the filter.
DIRECT: Json = {
    "access_log": [],
    "route_config": {
        "name": "local",
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            }
        ],
    },
}


def configuration(server: KeyServer, *, discovery: bool = False, **timings: float) -> Json:
    issuer: Json = {"issuer": server.issuer, "cluster": "keys", "keys": timings}
    if not discovery:
        issuer["jwks_uri"] = server.jwks_uri
    return {"issuers": [issuer], "resources": [{"resource": RESOURCE}]}


def status(envoy: Envoy, token: str) -> int:
    return http1.get(envoy.port, "/mcp", token).status


def metric(envoy: Envoy, name: str) -> int:
    """The sum over all labels."""
    found = envoy.stats(re.escape(f"wasmcustom.{name}"))
    return sum(
        value
        for full, value in found.items()
        if full.removeprefix("wasmcustom.").split(";")[0] == name
    )


def good_fetches(envoy: Envoy) -> int:
    found = envoy.stats("mcp_auth_key_fetches_total")
    return sum(value for name, value in found.items() if name.endswith("result=ok"))


def resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1])
