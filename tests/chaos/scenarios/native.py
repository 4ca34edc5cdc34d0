"""The same of Envoy's own jwt_authn with `remote_jwks`, to compare."""

from __future__ import annotations

import time

from support.bootstrap import Json, Listener
from support.key_server import KeyServer
from support.waiting import until

from ..figures import Report
from ..load import Load
from ..world import DIRECT, RESOURCE, Key, World, status

ROTATIONS = 3


def _listener(server: KeyServer) -> Listener:
    provider: Json = {
        "issuer": server.issuer,
        "audiences": [RESOURCE],
        "remote_jwks": {
            "http_uri": {"uri": server.jwks_uri, "cluster": "keys", "timeout": "5s"},
            "cache_duration": "600s",
            "async_fetch": {},
        },
    }
    native: Json = {
        "name": "jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3"
            ".JwtAuthentication",
            "providers": {"p": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
        },
    }
    return Listener(
        wasm=None, configuration="", before=[native], exact_balance=True, manager=DIRECT
    )


def run(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    envoy = world.envoy(_listener(server), server)
    token = key.token(server.issuer)
    until(lambda: status(envoy, token) == 200, "jwt_authn to serve")
    report.note("native jwt_authn", "fetches at a cold start", server.fetches())

    load = Load(envoy.port, token, rate=400, connections=64)
    before = server.fetches()
    for _ in range(ROTATIONS):
        key = Key()
        load.pause()
        server.keys = [key.jwk]
        load.switch(key.token(server.issuer))
        load.resume()
        time.sleep(2)
    result = load.stop()
    report.note(
        "native jwt_authn",
        f"{ROTATIONS} rotations: fetches; answers to good tokens",
        f"{server.fetches() - before}; {dict(result.statuses)}",
    )

    before = server.fetches()
    storm = Load(envoy.port, key.token(server.issuer), rate=1000, random_kids=True)
    time.sleep(10)
    statuses = storm.stop().statuses
    report.note(
        "native jwt_authn",
        "10 s of random keys: fetches; answers",
        f"{server.fetches() - before}; {dict(statuses)}",
    )
