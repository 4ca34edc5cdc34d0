"""The Envoys that are compared; all do the same work for a request that they let through.

That is: signature, issuer, audience and times are checked, three claims become headers, and the
Authorization header is removed. The answer is Envoy's own, from behind the filters: no upstream
takes part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import envoy
from support.bootstrap import Json, Listener
from support.introspection_server import IntrospectionServer, asking_cluster

from . import floor
from .minting import ISSUER, RESOURCE, jwks

METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"

# Room for every token of a scenario; jwt_authn has 100 by default.
CACHED_TOKENS = 20_000

_IDENTITY = {"sub": "x-mcp-sub", "client_id": "x-mcp-client-id", "scope": "x-mcp-scope"}

_FLOOR = "a filter that only makes this one's calls"

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


@dataclass(frozen=True)
class Contender:
    title: str
    listener: Callable[[], Listener]
    clusters: Sequence[Json] = ()


def contenders(
    module: Path, configuration: Json, directory: Path, issuer: IntrospectionServer
) -> Mapping[str, Contender]:
    """All of them by name; the configuration is the filter's, the directory for what they need.

    The issuer tells of opaque tokens.
    """
    calls = floor.for_a_known_token(directory / "floor.wasm", list(_IDENTITY.values()))
    fewer_calls = floor.for_a_foreign_path(directory / "floor-foreign.wasm")

    def ours(interlock: bool) -> Callable[[], Listener]:
        return lambda: _listener(wasm=module, configuration=configuration, interlock=interlock)

    asking = {**configuration, "issuers": [_asked(issuer)]}
    asked = asking_cluster("introspection", issuer.port, issuer.credentials, directory)
    return {
        "none": Contender("no filter", _listener),
        "native": Contender(
            "jwt_authn", lambda: _listener(before=[_jwt_authn(cached_tokens=None)])
        ),
        "native-cached": Contender(
            "jwt_authn, cache", lambda: _listener(before=[_jwt_authn(cached_tokens=CACHED_TOKENS)])
        ),
        "ours": Contender("this filter", ours(interlock=False)),
        "floor": Contender(_FLOOR, lambda: _listener(wasm=calls, interlock=False)),
        "floor-foreign": Contender(_FLOOR, lambda: _listener(wasm=fewer_calls, interlock=False)),
        "ours-interlock": Contender("this filter, interlock", ours(interlock=True)),
        "ours-opaque": Contender(
            "this filter, an opaque token",
            lambda: _listener(wasm=module, configuration=asking, interlock=False),
            [asked],
        ),
    }


def filter_configuration(directory: Path, module: Path) -> Json:
    """With a cache as large as jwt_authn's, if the module can have one; else its default."""
    plain: Json = {
        "issuers": [{"issuer": ISSUER, "jwks": jwks()}],
        # jwt_authn tells others nothing of the client, either.
        "resources": [
            {"resource": RESOURCE, "identity_headers": _IDENTITY, "filter_state": []}
        ],
    }
    sized = [
        {**plain, "limits": {"cached_tokens": size}} for size in (CACHED_TOKENS, CACHED_TOKENS // 2)
    ]
    for configuration in (*sized, plain):
        listener = _listener(wasm=module, configuration=configuration)
        status, output = envoy.validate(directory / "validate", listener, {})
        if status == 0:
            return configuration
    raise RuntimeError(f"{module} refuses its configuration:\n{output}")


def _asked(issuer: IntrospectionServer) -> Json:
    """One question for a whole run."""
    return {
        "issuer": ISSUER,
        "introspection": {
            "cluster": "introspection",
            "endpoint": issuer.endpoint,
            "cache_seconds": 3600,
        },
    }


def _listener(**options: Any) -> Listener:
    return Listener(
        **{"wasm": None, "configuration": {}, **options},
        manager={"access_log": [], "route_config": _ROUTES},
        # Else it is left to chance which workers get connections.
        exact_balance=True,
    )


def _jwt_authn(cached_tokens: int | None) -> Json:
    cache = {} if cached_tokens is None else {"jwt_cache_config": {"jwt_cache_size": cached_tokens}}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3"
            ".JwtAuthentication",
            "providers": {
                "provider": {
                    "issuer": ISSUER,
                    "audiences": [RESOURCE],
                    "local_jwks": {"inline_string": json.dumps(jwks())},
                    "claim_to_headers": [
                        {"claim_name": claim, "header_name": header}
                        for claim, header in _IDENTITY.items()
                    ],
                    **cache,
                }
            },
            "rules": [{"match": {"prefix": "/mcp"}, "requires": {"provider_name": "provider"}}],
        },
    }
