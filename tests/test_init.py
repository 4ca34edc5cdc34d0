"""What `mcp-auth init` writes: Envoy takes it, CRDs take it, and a real client logs in to it."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import yaml
from support import certificates, http1, paths, tool
from support.authorization import AuthorizationServer
from support.clients import PYTHON, Client
from support.example import adapted, started
from support.introspection_server import basic
from support.manifests import documents
from support.mcp_client import LEGACY, MODERN, Login, connect
from support.mcp_server import McpServer
from support.ports import ReservedPort
from support.threaded import Threaded
from support.waiting import until
from test_examples import validate
from test_manifests import problems

GOOD = {
    "--resource": "https://mcp.acme.test/a/b",
    "--issuer": "https://login.acme.test:8443/t",
    "--upstream": "tools.prod.svc.cluster.local:9000",
}

GOOD_WORDS = [word for name, value in GOOD.items() if name != "--issuer" for word in (name, value)]


def init(directory: Path, target: str, *more: str, **changes: str) -> Path:
    values = GOOD | {f"--{name}": value for name, value in changes.items()}
    written = directory / target
    options = [word for option in values.items() for word in option]
    done = tool.run("init", "--target", target, *options, *more, written)
    assert done.returncode == 0, done.stderr
    return written


def prepared(folder: Path, directory: Path) -> str:
    """`envoy.yaml` with the paths of this machine."""
    text = (folder / "envoy.yaml").read_text()
    replacements = {"/etc/envoy/mcp_auth_filter.wasm": str(paths.wasm_module())}
    if "/etc/envoy/tls/" in text:
        replacements["/etc/envoy/tls/"] = f"{directory}/"
    if "/etc/ssl/certs/ca-certificates.crt" in text:
        replacements["/etc/ssl/certs/ca-certificates.crt"] = f"{directory}/server.crt"
    if "/etc/envoy/introspection-secret.yaml" in text:
        secret = folder / "introspection-secret.yaml"
        replacements["/etc/envoy/introspection-secret.yaml"] = str(secret)
    return adapted(text, replacements)


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        ("envoy", {"resource": "https://mcp.acme.test"}),
        ("envoy", {"resource": "https://mcp.acme.test:9443/a,b", "upstream": "https://[::1]:9000"}),
        ("compose", {}),
        (
            "compose",
            {"resource": "http://127.0.0.1:9090/mcp", "issuer": "http://localhost:4444"},
        ),
    ],
    ids=["bare-origin", "odd-values", "https", "http"],
)
def test_envoy_takes_it(tmp_path: Path, target: str, changes: dict[str, str]) -> None:
    folder = init(tmp_path, target, "--scope", "a:b", "--scope", "yes", **changes)
    certificates.self_signed(tmp_path, "mcp.acme.test")
    done = validate(prepared(folder, tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "deprecated" not in done.stdout.lower()


@pytest.mark.parametrize("target", ["istio", "envoy-gateway"])
@pytest.mark.parametrize(
    "resource", ["https://mcp.acme.test/a/b", "https://mcp.acme.test"], ids=["path", "bare-origin"]
)
def test_the_manifests_are_what_their_crds_take(
    tmp_path: Path, target: str, resource: str
) -> None:
    module = tmp_path / "module.wasm"
    module.write_bytes(b"a module")
    folder = init(
        tmp_path, target, "--module", str(module), "--scope", "a:b", "--scope", "yes",
        "--module-url", "https://files.acme.test/m.wasm", resource=resource,
    )  # fmt: skip
    resources = [
        one
        for file in sorted(folder.glob("*.yaml"))
        if not file.name.startswith("values")
        for one in documents(file)
    ]
    assert resources
    for one in resources:
        assert problems(one) == []
    text = (folder / "filter.yaml").read_text()
    assert "https://files.acme.test/m.wasm" in text
    assert "0" * 64 not in text
    # YAML and JSON are the same configuration.
    (manifest,) = documents(folder / "filter.yaml")
    spec = manifest["spec"]
    wasm = spec["wasm"]
    configuration = wasm["pluginConfig"] if isinstance(wasm, dict) else wasm[0]["config"]
    assert configuration == yaml.safe_load((folder / "config.json").read_text())


def test_a_container_finds_servers_of_this_machine(tmp_path: Path) -> None:
    folder = init(
        tmp_path, "compose", resource="http://localhost:9090/mcp",
        issuer="http://localhost:4444", upstream="127.0.0.1:3000",
    )  # fmt: skip
    written = (folder / "envoy.yaml").read_text()
    assert written.count("address: host.docker.internal") == 2
    # The name is in the container's list of hosts: no resolver has to answer for IPv6 first.
    assert written.count("dns_lookup_family: V4_PREFERRED") == 2
    compose = yaml.safe_load((folder / "docker-compose.yaml").read_text())
    (service,) = compose["services"].values()
    assert service["ports"] == ["127.0.0.1:9090:9090"]
    assert service["extra_hosts"] == ["host.docker.internal:host-gateway"]
    for volume in service["volumes"]:
        name = volume.partition(":")[0]
        assert name == "./mcp_auth_filter.wasm" or (folder / name).exists()


class Issuer(BaseHTTPRequestHandler):
    """One that keeps its keys on another host."""

    members: ClassVar[dict[str, str]] = {"jwks_uri": "http://127.0.0.2:9/keys"}

    def do_GET(self) -> None:
        own = f"http://127.0.0.1:{self.server.server_address[1]}"
        body = json.dumps({"issuer": own, **self.members}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class IssuerWithoutKeys(Issuer):
    """One whose tokens are all opaque, as Django OAuth Toolkit's are."""

    members: ClassVar[dict[str, str]] = {}


def test_an_issuer_without_keys_is_asked_about_all_of_its_tokens(tmp_path: Path) -> None:
    with Threaded(IssuerWithoutKeys) as server:
        asked = ["--introspection", f"{server.origin}/introspect/"]
        folder = init(tmp_path, "envoy", "--discover", *asked, issuer=server.origin)
        without = [*GOOD_WORDS, "--issuer", server.origin, "--discover"]
        refused = tool.run("init", "--target", "envoy", *without, tmp_path / "other")
    [issuer] = json.loads((folder / "config.json").read_text())["issuers"]
    assert issuer.keys() == {"issuer", "introspection"}
    clusters = yaml.safe_load((folder / "envoy.yaml").read_text())["static_resources"]["clusters"]
    assert [one["name"] for one in clusters] == ["mcp_server", "introspection"]
    certificates.self_signed(tmp_path, "mcp.acme.test")
    done = validate(prepared(folder, tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no usable jwks_uri" in refused.stderr


def test_keys_on_another_host_are_found(tmp_path: Path) -> None:
    with Threaded(Issuer) as server:
        folder = init(tmp_path, "envoy", "--discover", issuer=server.origin)
        # Another name for the same server.
        other = [*GOOD_WORDS, "--issuer", f"{server.origin}/", "--discover"]
        refused = tool.run("init", "--target", "envoy", *other, tmp_path / "other")
    configuration = json.loads((folder / "config.json").read_text())
    assert configuration["issuers"][0]["jwks_cluster"] == "authorization_server_keys"
    clusters = yaml.safe_load((folder / "envoy.yaml").read_text())["static_resources"]["clusters"]
    addresses = {
        one["name"]: one["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        for one in clusters
    }
    assert addresses["authorization_server_keys"]["address"]["socket_address"] == {
        "address": "127.0.0.2",
        "port_value": 9,
    }
    certificates.self_signed(tmp_path, "mcp.acme.test")
    done = validate(prepared(folder, tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "calls itself" in refused.stderr


def test_a_client_logs_in_to_what_was_written(tmp_path: Path) -> None:
    with ReservedPort() as reserved, McpServer(tmp_path) as server:
        url = f"http://127.0.0.1:{reserved.number}/mcp"
        with AuthorizationServer(tmp_path, resources=[url]) as authorization:
            folder = init(
                tmp_path, "envoy", "--discover", "--scope", "mcp:read", resource=url,
                issuer=authorization.issuer, upstream=f"127.0.0.1:{server.port}",
            )  # fmt: skip
            text = adapted(
                prepared(folder, tmp_path), {"address: 0.0.0.0, port": "address: 127.0.0.1, port"}
            )
            with started(text, tmp_path) as envoy:
                assert envoy.port == reserved.number
                with Client(tmp_path, PYTHON, url, PYTHON.eras[0]) as client:
                    client.connect()
                    assert client.call("whoami")["x-mcp-sub"] == "alice"
                assert tool.probe(url)["good"]


def test_a_client_logs_in_with_an_opaque_token_until_it_is_revoked(tmp_path: Path) -> None:
    """With the file of the credentials as it is written, nobody is called a liar; with them, it works."""
    with ReservedPort() as reserved, McpServer(tmp_path) as server:
        url = f"http://127.0.0.1:{reserved.number}/mcp"
        with AuthorizationServer(tmp_path, resources=[url], opaque=True) as authorization:
            place = f"{authorization.issuer}/.well-known/oauth-authorization-server"
            metadata = httpx.get(place, timeout=60).raise_for_status().json()
            folder = init(
                tmp_path, "envoy", "--discover", "--scope", "mcp:read", resource=url,
                issuer=authorization.issuer, upstream=f"127.0.0.1:{server.port}",
                introspection=metadata["introspection_endpoint"],
            )  # fmt: skip
            text = adapted(
                prepared(folder, tmp_path),
                {
                    "address: 0.0.0.0, port": "address: 127.0.0.1, port",
                    # Nobody wants to wait for the default's 30 seconds.
                    '"cluster": "introspection",': '"cluster": "introspection", "cache_seconds": 1,',
                },
            )
            with started(text, tmp_path) as envoy:
                token = authorization.token(url)
                assert http1.get(envoy.port, "/mcp", token).status == 503
                secret = folder / "introspection-secret.yaml"
                good = basic("mcp-server", "for-tests-only")
                written = adapted(secret.read_text(), {"Basic BASE64-OF-CLIENT:SECRET": good})
                # Moved over the old one, as docs/introspection.md says.
                (folder / "new.yaml").write_text(written)
                (folder / "new.yaml").rename(secret)
                until(lambda: answered(envoy.port, token), "the credentials", timeout=60)

                for mode in (LEGACY, MODERN):
                    who, login = asyncio.run(asyncio.wait_for(session(url, mode), 180))
                    assert who["x-mcp-sub"] == "alice"
                assert login.tokens is not None and login.client is not None
                token = login.tokens.access_token
                assert token.count(".") == 0
                assert answered(envoy.port, token)
                assert tool.probe(url, token)["good"]
                revoke(metadata["revocation_endpoint"], login)
                until(lambda: http1.get(envoy.port, "/mcp", token).status == 401, "the end", timeout=60)


def answered(port: int, token: str) -> bool:
    """By the MCP server, which has its own mind about a GET."""
    return http1.get(port, "/mcp", token).status not in (401, 403, 503)


async def session(url: str, mode: str) -> tuple[dict[str, Any], Login]:
    login = Login()
    async with connect(url, mode, login) as connected:
        who = (await connected.client.call_tool("whoami", {})).structured_content
    return who or {}, login


def revoke(endpoint: str, login: Login) -> None:
    assert login.tokens is not None and login.client is not None
    identifier, secret = login.client.client_id or "", login.client.client_secret
    form = {"token": login.tokens.access_token, "client_id": identifier}
    method = login.client.token_endpoint_auth_method
    if secret and method != "client_secret_basic":
        form["client_secret"] = secret
    auth = httpx.BasicAuth(identifier, secret) if secret and method == "client_secret_basic" else None
    httpx.post(endpoint, data=form, auth=auth, timeout=60).raise_for_status()
