"""The files under envoy/xds/: Envoy starts with them, and takes new ones while it serves."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from support import certificates, http1, paths, tokens
from support.example import FOLDER, Running, adapted, started
from support.key_server import KeyServer
from support.recorder import Recorder, new_test_id
from support.waiting import until

ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"


def bearer(scope: str) -> tuple[str, str]:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope}
    return "authorization", f"Bearer {tokens.mint({}, claims)}"


@dataclass(frozen=True)
class Deployment:
    envoy: Running
    folder: Path
    """The folder of its listeners and clusters."""
    trusted: ssl.SSLContext
    keys: KeyServer

    def connection(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.envoy.port), timeout=15)
        return self.trusted.wrap_socket(plain, server_hostname="mcp.example.com")

    def get(self, path: str, scope: str | None = None) -> http1.Response:
        """With a token of this scope, if one is given."""
        with self.connection() as connection:
            token = [bearer(scope)] if scope else []
            connection.sendall(http1.encode("GET", path, token, host="mcp.example.com"))
            return http1.read_response(connection)

    def replace(self, file: str, old: str, new: str) -> None:
        """As the README says: write another file, and rename it."""
        changed = adapted((self.folder / file).read_text(), {old: new})
        written = self.folder.parent / "next"
        written.write_text(changed)
        os.rename(written, self.folder / file)

    def counter(self, name: str) -> int:
        return self.envoy.stats(f"^{name}$").get(name, 0)


@pytest.fixture
def deployment(tmp_path: Path, recorder: Recorder) -> Iterator[Deployment]:
    certificates.self_signed(tmp_path, "mcp.example.com")
    theirs = certificates.self_signed(tmp_path, "auth.example.com", "auth")
    folder = tmp_path / "xds"
    folder.mkdir()
    with KeyServer(
        [tokens.public_jwk("rsa-1")],
        issuer=ISSUER,
        jwks_uri=f"{ISSUER}/keys",
        tls=certificates.server_context(theirs),
    ) as keys:
        replacements: dict[str, dict[str, str]] = {
            "listeners.yaml": {
                "address: 0.0.0.0, port_value: 8443": "address: 127.0.0.1, port_value: 0",
                "/etc/envoy/mcp_auth_filter.wasm": str(paths.wasm_module()),
                "/etc/envoy/tls/": f"{tmp_path}/",
            },
            "clusters.yaml": {
                "address: mcp-server, port_value: 3000": f"address: 127.0.0.1, port_value: {recorder.port}",
                "address: auth.example.com, port_value: 443": f"address: 127.0.0.1, port_value: {keys.port}",
                "/etc/ssl/certs/ca-certificates.crt": str(theirs),
            },
        }
        for name, changes in replacements.items():
            text = (FOLDER / "xds" / name).read_text()
            (folder / name).write_text(adapted(text, changes))
        bootstrap = adapted(
            (FOLDER / "xds" / "bootstrap.yaml").read_text(), {"/etc/envoy/xds": str(folder)}
        )
        with started(bootstrap, tmp_path, "--reject-unknown-dynamic-fields") as envoy:
            trusted = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
            yield Deployment(envoy, folder, trusted, keys)


def test_it_protects_the_server(deployment: Deployment, recorder: Recorder) -> None:
    refused = deployment.get("/mcp")
    assert refused.status == 401
    place = "/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="https://mcp.example.com{place}"' in (
        refused.header("www-authenticate") or ""
    )
    assert deployment.get(place).json()["authorization_servers"] == [ISSUER]
    # Through TLS, with the certificate's name checked.
    assert deployment.get("/mcp", "mcp").status == 200
    assert deployment.get("/mcp", "other").status == 403


def test_a_new_configuration_is_taken_while_requests_go_on(deployment: Deployment) -> None:
    done = Event()

    def ask() -> list[int]:
        found = []
        while not done.is_set():
            found.append(deployment.get("/mcp", "mcp extra").status)
        return found

    assert deployment.get("/mcp", "mcp").status == 200
    before = deployment.counter("listener_manager.lds.update_success")
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            deployment.replace("listeners.yaml", '"scopes": ["mcp"]', '"scopes": ["mcp", "extra"]')
            until(lambda: deployment.get("/mcp", "mcp").status == 403, "the new configuration")
        finally:
            done.set()
        statuses = [status for one in asking for status in one.result()]
    assert set(statuses) == {200}
    assert deployment.counter("listener_manager.lds.update_success") == before + 1
    assert deployment.keys.fetches() == 1


def test_event_streams_end_with_the_configuration_that_they_began_with(
    deployment: Deployment, recorder: Recorder
) -> None:
    test_id = new_test_id()
    with deployment.connection() as connection:
        headers = [bearer("mcp"), ("x-test-id", test_id)]
        connection.sendall(http1.encode("GET", "/mcp/sse", headers, host="mcp.example.com"))
        until(lambda: recorder.has_stream(test_id), "the stream")
        deployment.replace("listeners.yaml", '"scopes": ["mcp"]', '"scopes": ["other"]')
        until(lambda: deployment.get("/mcp", "mcp").status == 403, "the new configuration")
        recorder.send_event(test_id, "still here")
        received = b""
        while b"still here" not in received:
            received += connection.recv(65536)
        # --drain-time-s is 2 here.
        while connection.recv(65536):
            pass
    until(lambda: not recorder.has_stream(test_id), "the stream's end")


@pytest.mark.parametrize(
    ("old", "new", "counted", "said"),
    [
        ('"scopes": [', '"scope": [', "update_rejected", "resources[0]"),
        ("/mcp_auth_filter.wasm", "/missing.wasm", "update_rejected", "missing.wasm"),
        ("merge_slashes: true", "merge_slashes: maybe", "update_failure", "merge_slashes"),
        (
            "failure_policy: FAIL_RELOAD",
            "failure_police: FAIL_RELOAD",
            "update_rejected",
            "failure_police",
        ),
    ],
    ids=[
        "the filter's JSON",
        "a module that is not there",
        "a value of Envoy's",
        "an unknown field",
    ],
)
def test_a_wrong_configuration_is_rejected_and_the_old_one_serves_on(
    deployment: Deployment, old: str, new: str, counted: str, said: str
) -> None:
    """A file that cannot even be read is a failure; one that Envoy or the filter does not want is rejected."""
    assert deployment.get("/mcp", "mcp").status == 200
    good = (deployment.folder / "listeners.yaml").read_text()
    deployment.replace("listeners.yaml", old, new)
    until(lambda: deployment.counter(f"listener_manager.lds.{counted}") == 1, "the rejection")
    assert said in deployment.envoy.child.log()
    assert deployment.get("/mcp", "mcp").status == 200
    assert deployment.get("/mcp", "other").status == 403
    assert deployment.get("/mcp").status == 401
    # And the right one is taken afterwards.
    deployment.replace("listeners.yaml", new, old)
    assert (deployment.folder / "listeners.yaml").read_text() == good
    deployment.replace("listeners.yaml", '"scopes": ["mcp"]', '"scopes": ["mcp", "extra"]')
    until(lambda: deployment.get("/mcp", "mcp").status == 403, "the new configuration")


def test_a_cluster_can_be_replaced(deployment: Deployment, recorder: Recorder) -> None:
    assert deployment.get("/mcp", "mcp").status == 200
    with Recorder() as other:
        deployment.replace(
            "clusters.yaml", f"port_value: {recorder.port}", f"port_value: {other.port}"
        )
        until(
            lambda: deployment.get("/mcp", "mcp").status == 200 and other.everything(),
            "the new server",
        )


def test_it_is_the_listener_and_the_clusters_of_envoy_yaml() -> None:
    static = yaml.safe_load((FOLDER / "envoy.yaml").read_text())["static_resources"]
    for kind in ("listeners", "clusters"):
        resources: list[dict[str, Any]] = yaml.safe_load(
            (FOLDER / "xds" / f"{kind}.yaml").read_text()
        )["resources"]
        for one in resources:
            del one["@type"]
        assert resources == static[kind]
    bootstrap = yaml.safe_load((FOLDER / "xds" / "bootstrap.yaml").read_text())
    envoy = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
    for part in ("admin", "stats_config", "overload_manager"):
        assert bootstrap[part] == envoy[part]
