"""The configuration that Istio and Envoy Gateway made of the manifests under envoy/, on the real Envoy.

Neither control plane runs here: `tests/recorded/` has what they gave to an Envoy, and
`support/control_planes.py` puts this machine's servers, and the manifests of today, into it.
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support import certificates, http1, tokens, volley
from support.control_planes import HOST, RECORDED, RECORDINGS, Parts, Server, bootstrap
from support.example import Running, started
from support.key_server import KeyServer
from support.manifests import ENVOY_GATEWAY, ISTIO, named
from support.recorder import Recorder, new_test_id
from support.threaded import Threaded
from support.waiting import until

Json = dict[str, Any]

ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"


DEPLOYMENTS = list(RECORDINGS)


def gateway_at(port: int, certificate: Path) -> volley.Connect:
    return volley.tls(port, ssl.create_default_context(cafile=str(certificate)), HOST)


@pytest.fixture(scope="module")
def modules(wasm: Path) -> Iterator[int]:
    """A server that has the module, as Envoy Gateway has one for its Envoys: its port."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with Threaded(functools.partial(Handler, directory=str(wasm.parent))) as server:
        yield server.port


@dataclass(frozen=True)
class Deployment:
    envoy: Running
    keys: KeyServer
    connect: volley.Connect

    def get(self, path: str, scope: str | None = None, test_id: str = "") -> http1.Response:
        """With a token of this scope, if one is given."""
        claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope}
        token = [("authorization", f"Bearer {tokens.mint({}, claims)}")] if scope else []
        headers = [*token, ("x-test-id", test_id or new_test_id())]
        with self.connect() as connection:
            connection.sendall(http1.encode("GET", path, headers, host=HOST))
            return http1.read_response(connection)


Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(wasm: Path, recorder: Recorder, modules: int, tmp_path: Path) -> Iterator[Deploy]:
    with ExitStack() as stack:

        def start(
            name: str, *, host: str = "auth.example.com", **more: Any
        ) -> Deployment:
            """`host`: the name in the certificate of the authorization server."""
            trusted = certificates.self_signed(tmp_path, host, "auth")
            certificate = certificates.self_signed(tmp_path, HOST)
            keys = stack.enter_context(
                KeyServer(
                    [tokens.public_jwk("rsa-1")],
                    issuer=ISSUER,
                    jwks_uri=f"{ISSUER}/keys",
                    tls=certificates.server_context(trusted),
                )
            )
            upstream, authorization_server = Server(recorder.port), Server(keys.port, trusted)
            parts = Parts(tmp_path, wasm, certificate, upstream, authorization_server, modules, **more)
            envoy = stack.enter_context(started(bootstrap(name, parts), tmp_path))
            return Deployment(envoy, keys, gateway_at(envoy.port, certificate))

        yield start


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_protects_the_server(name: str, deploy: Deploy, recorder: Recorder) -> None:
    deployment = deploy(name)

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
    deployment = deploy(name, switched_on=False)
    for scope in ("mcp", None):
        test_id = new_test_id()
        assert deployment.get("/mcp", scope, test_id).status == 403
        assert not recorder.seen(test_id)


@pytest.mark.parametrize("name", ["istio-traffic-extension", "envoy-gateway"])
def test_keys_of_a_server_with_another_name_are_not_taken(
    name: str, deploy: Deploy, recorder: Recorder
) -> None:
    """Its certificate is from an authority that is trusted, but for another host."""
    deployment = deploy(name, host="other.example.com")
    test_id = new_test_id()
    assert deployment.get("/mcp", "mcp", test_id).status == 503
    assert not recorder.seen(test_id)
    assert deployment.keys.fetched() == {}


def test_nobody_reaches_the_authorization_server_by_the_route_that_makes_its_cluster(
    deploy: Deploy,
) -> None:
    deployment = deploy("envoy-gateway")
    assert deployment.get("/mcp", "mcp").status == 200
    (route,) = named([ENVOY_GATEWAY / "keys.yaml"], "HTTPRoute")["spec"]["rules"]
    for match in route["matches"]:
        for scope in ("mcp", None):
            assert deployment.get(match["path"]["value"], scope).status == 403
        assert match["path"]["value"] not in deployment.keys.fetched()


def test_without_a_vm_id_each_fetches_for_itself(deploy: Deploy) -> None:
    """Istio's plugins have none; here it is the main thread and one worker."""
    deployment = deploy("istio-traffic-extension")
    deployment.keys.wait_for_fetches(2)
    assert deployment.get("/mcp", "mcp").status == 200


@pytest.mark.parametrize("name", ["istio-envoy-filter", "envoy-gateway"])
def test_with_a_vm_id_they_share(name: str, deploy: Deploy) -> None:
    deployment = deploy(name)
    assert deployment.get("/mcp", "mcp").status == 200
    # Both have looked by then: they do once a second.
    until(lambda: _age(deployment) >= 2, "two seconds")
    assert deployment.keys.fetches() == 1


def _age(deployment: Deployment) -> int:
    return max(deployment.envoy.stats("mcp_auth_keys_age_seconds").values(), default=0)


def test_the_routes_are_those_of_the_manifests() -> None:
    """They were recorded from these files: else it is time to record them anew."""
    for name, file in (("istio-gateway-api", ISTIO / "gateway-api.yaml"), ("envoy-gateway", ENVOY_GATEWAY / "gateway.yaml")):  # fmt: skip
        (rule,) = named([file], "HTTPRoute")["spec"]["rules"]
        wanted = ["path_separated_prefix" + one["path"]["value"] for one in rule["matches"]]
        assert sorted(wanted) == sorted(one for one in _matches(name) if "mcp-auth-keys" not in one)


def _matches(name: str) -> list[str]:
    recorded = json.loads((RECORDED / f"{name}.json").read_text())
    kinds = ("path", "prefix", "path_separated_prefix")
    return [
        kind + route["match"][kind]
        for one in recorded["ROUTE"]
        for host in one["virtual_hosts"]
        for route in host["routes"]
        for kind in kinds
        if kind in route["match"]
    ]
