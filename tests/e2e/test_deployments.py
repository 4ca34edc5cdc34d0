"""The configuration that Istio and Envoy Gateway make of the manifests under envoy/, on the real Envoy.

Neither control plane runs here. `support/control_planes.py` translates as they do; the filter's
configuration, the clusters' names, TLS, routes and interlock are read from the manifests.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import certificates, control_planes, http1, tokens
from support.control_planes import ROUTER, Extension, Server
from support.example import Running, started
from support.key_server import KeyServer
from support.manifests import ENVOY_GATEWAY, ISTIO, documents, named
from support.recorder import Recorder, new_test_id
from support.waiting import until

Json = dict[str, Any]

ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
HOST = "mcp.example.com"


@dataclass(frozen=True)
class Parts:
    """The servers on this machine that stand for those of the manifests."""

    directory: Path
    wasm: Path
    upstream: Server
    authorization_server: Server
    modules: int
    """The port of a server that has the module."""
    switched_on: bool = True
    """False: the filter is in the chain, and never asked, as where Envoy could not set it up."""


def istio(parts: Parts, plugin: Extension | None, envoy_filters: list[Json]) -> str:
    keys, gateway = ISTIO / "keys.yaml", ISTIO / "gateway.yaml"
    filters = [ROUTER] if plugin is None else [plugin.filter, ROUTER]
    filters, discovered = control_planes.istio_patches(filters, envoy_filters, parts.wasm)
    discovered += [] if plugin is None else [plugin]
    if not parts.switched_on:
        for one in discovered:
            one.filter["disabled"] = True
    host, upstreams = control_planes.istio_routes(named([gateway], "VirtualService"))
    (values,) = documents(ISTIO / "values-istiod.yaml")
    return control_planes.envoy(
        filters,
        host,
        control_planes.istio_merged(
            control_planes.istio_manager(values),
            named([ISTIO / "connection-manager.yaml"], "EnvoyFilter"),
        ),
        [
            control_planes.istio_cluster(
                named([keys], "ServiceEntry"),
                named([keys], "DestinationRule"),
                parts.authorization_server,
            ),
            *(control_planes.static_cluster(one, parts.upstream) for one in set(upstreams)),
        ],
        discovered,
        directory=parts.directory,
    )


def interlock() -> Json:
    return named([ISTIO / "interlock.yaml"], "EnvoyFilter")


def istio_traffic_extension(parts: Parts) -> str:
    plugin = named([ISTIO / "filter.yaml"], "TrafficExtension")
    made = control_planes.istio_plugin(plugin, plugin["spec"]["wasm"], parts.wasm)
    return istio(parts, made, [interlock()])


def istio_wasm_plugin(parts: Parts) -> str:
    plugin = named([ISTIO / "filter-wasmplugin.yaml"], "WasmPlugin")
    made = control_planes.istio_plugin(plugin, plugin["spec"], parts.wasm)
    return istio(parts, made, [interlock()])


def istio_envoy_filter(parts: Parts) -> str:
    plugin = named([ISTIO / "filter-envoyfilter.yaml"], "EnvoyFilter")
    return istio(parts, None, [interlock(), plugin])


def envoy_gateway(parts: Parts) -> str:
    files = [ENVOY_GATEWAY / f"{one}.yaml" for one in ("gateway", "keys", "filter", "interlock")]
    digest = hashlib.sha256(parts.wasm.read_bytes()).hexdigest()
    url = f"http://127.0.0.1:{parts.modules}/{parts.wasm.name}"
    plugin = control_planes.gateway_plugin(
        named(files, "EnvoyExtensionPolicy"), url, "wasm_cluster", digest
    )
    deny = control_planes.gateway_deny(named(files, "SecurityPolicy"))
    server = named(files, "HTTPRoute", target(files, "EnvoyExtensionPolicy"))
    keys = named(files, "HTTPRoute", target(files, "SecurityPolicy"))
    on = [plugin.switch] if parts.switched_on else []
    routes = [
        *control_planes.gateway_routes(keys, [deny.switch]),
        *control_planes.gateway_routes(server, on),
    ]
    gateway = named(files, "Gateway")
    return control_planes.envoy(
        control_planes.gateway_patch(
            # In the order of Envoy Gateway.
            [plugin.filter, deny.filter, ROUTER], named(files, "EnvoyPatchPolicy"), gateway
        ),
        {"name": "mcp", "domains": server["spec"]["hostnames"], "routes": routes},
        control_planes.gateway_manager(named(files, "ClientTrafficPolicy")),
        [
            control_planes.gateway_cluster(
                keys,
                named(files, "Backend"),
                named(files, "BackendTLSPolicy"),
                parts.authorization_server,
            ),
            control_planes.static_cluster(
                control_planes.gateway_cluster_name(server), parts.upstream
            ),
            control_planes.static_cluster("wasm_cluster", Server(parts.modules)),
        ],
        directory=parts.directory,
    )  # fmt: skip


def target(files: list[Path], policy: str) -> str:
    (one,) = named(files, policy)["spec"]["targetRefs"]
    assert one["kind"] == "HTTPRoute"
    return one["name"]


DEPLOYMENTS: dict[str, Callable[[Parts], str]] = {
    "istio-traffic-extension": istio_traffic_extension,
    "istio-wasm-plugin": istio_wasm_plugin,
    "istio-envoy-filter": istio_envoy_filter,
    "envoy-gateway": envoy_gateway,
}


@pytest.fixture(scope="module")
def modules(wasm: Path) -> Iterator[int]:
    """A server that has the module, as Envoy Gateway has one for its Envoys: its port."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(wasm.parent))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Deployment:
    envoy: Running
    keys: KeyServer

    def get(self, path: str, scope: str | None = None, test_id: str = "") -> http1.Response:
        """With a token of this scope, if one is given."""
        claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope}
        token = [("authorization", f"Bearer {tokens.mint({}, claims)}")] if scope else []
        headers = [*token, ("x-test-id", test_id or new_test_id())]
        return http1.request(self.envoy.port, "GET", path, headers, host=HOST)


Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(wasm: Path, recorder: Recorder, modules: int, tmp_path: Path) -> Iterator[Deploy]:
    with ExitStack() as stack:

        def start(
            make: Callable[[Parts], str], *, host: str = "auth.example.com", **more: Any
        ) -> Deployment:
            """`host`: the name in the certificate of the authorization server."""
            trusted = certificates.self_signed(tmp_path, host, "auth")
            keys = stack.enter_context(
                KeyServer(
                    [tokens.public_jwk("rsa-1")],
                    issuer=ISSUER,
                    jwks_uri=f"{ISSUER}/keys",
                    tls=certificates.server_context(trusted),
                )
            )
            upstream, authorization_server = Server(recorder.port), Server(keys.port, trusted)
            parts = Parts(tmp_path, wasm, upstream, authorization_server, modules, **more)
            return Deployment(stack.enter_context(started(make(parts), tmp_path)), keys)

        yield start


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_protects_the_server(name: str, deploy: Deploy, recorder: Recorder) -> None:
    deployment = deploy(DEPLOYMENTS[name])

    refused = deployment.get("/mcp")
    assert refused.status == 401
    challenge = refused.header("www-authenticate") or ""
    assert f'resource_metadata="https://{HOST}{METADATA}"' in challenge
    assert 'scope="mcp"' in challenge

    document = deployment.get(METADATA)
    assert document.status == 200
    assert document.json()["resource"] == RESOURCE
    assert document.json()["authorization_servers"] == [ISSUER]

    # The keys come through the cluster that the manifests name, with TLS and the name checked.
    for path in ("/mcp", "/mcp/messages?session=1"):
        test_id = new_test_id()
        assert deployment.get(path, "mcp", test_id).status == 200
        arrived = recorder.one(test_id)
        assert arrived.target == path
        assert arrived.header("x-mcp-sub") == "alice"
        assert arrived.header("authorization") is None
    assert deployment.keys.fetches() >= 1

    assert deployment.get("/mcp", "other").status == 403
    assert deployment.get("/mcp/..%2fadmin", "mcp").status == 400
    # No route; with Envoy Gateway also no filter, and the interlock answers.
    assert deployment.get("/elsewhere", "mcp").status in (403, 404)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_interlock_closes(name: str, deploy: Deploy, recorder: Recorder) -> None:
    """Where the filter is not asked, good tokens do not get through either."""
    deployment = deploy(DEPLOYMENTS[name], switched_on=False)
    for scope in ("mcp", None):
        test_id = new_test_id()
        assert deployment.get("/mcp", scope, test_id).status == 403
        assert not recorder.seen(test_id)


@pytest.mark.parametrize("name", ["istio-traffic-extension", "envoy-gateway"])
def test_keys_of_a_server_with_another_name_are_not_taken(
    name: str, deploy: Deploy, recorder: Recorder
) -> None:
    """Its certificate is from an authority that is trusted, but for another host."""
    deployment = deploy(DEPLOYMENTS[name], host="other.example.com")
    test_id = new_test_id()
    assert deployment.get("/mcp", "mcp", test_id).status == 503
    assert not recorder.seen(test_id)
    assert deployment.keys.fetched() == {}


def test_nobody_reaches_the_authorization_server_by_the_route_that_makes_its_cluster(
    deploy: Deploy,
) -> None:
    deployment = deploy(envoy_gateway)
    assert deployment.get("/mcp", "mcp").status == 200
    (route,) = named([ENVOY_GATEWAY / "keys.yaml"], "HTTPRoute")["spec"]["rules"]
    for match in route["matches"]:
        for scope in ("mcp", None):
            assert deployment.get(match["path"]["value"], scope).status == 403
        assert match["path"]["value"] not in deployment.keys.fetched()


def test_without_a_vm_id_each_fetches_for_itself(deploy: Deploy) -> None:
    """Istio's plugins have none; here it is the main thread and one worker."""
    deployment = deploy(istio_traffic_extension)
    deployment.keys.wait_for_fetches(2)
    assert deployment.get("/mcp", "mcp").status == 200


@pytest.mark.parametrize("name", ["istio-envoy-filter", "envoy-gateway"])
def test_with_a_vm_id_they_share(name: str, deploy: Deploy) -> None:
    deployment = deploy(DEPLOYMENTS[name])
    assert deployment.get("/mcp", "mcp").status == 200
    # Both have looked by then: they do once a second.
    until(lambda: _age(deployment) >= 2, "two seconds")
    assert deployment.keys.fetches() == 1


def _age(deployment: Deployment) -> int:
    return max(deployment.envoy.stats("mcp_auth_keys_age_seconds").values(), default=0)


def test_an_empty_plugin_configuration_is_none() -> None:
    """And the filter refuses to start with none: nothing is served half-configured."""
    assert control_planes.plugin_configuration({}) == {}
    assert json.loads(control_planes.plugin_configuration({"a": 1})["configuration"]["value"])
