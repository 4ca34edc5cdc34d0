"""A server that never looks at the path, behind each shipped example: nothing reaches it unasked.

Many MCP servers are such: handlers on plain node:http, Go's handlers. Routes, filter and interlock of
the examples must keep from them what has no token, whatever its target, method and host.
"""

from __future__ import annotations

import itertools
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support import certificates, tokens, volley
from support.control_planes import HOST, Parts, Server, bootstrap
from support.example import FOLDER, Running, adapted, started
from support.key_server import KeyServer
from support.ports import ReservedPort
from support.recorder import Recorder
from support.unasked import nothing_reaches
from test_deployments import DEPLOYMENTS, ISSUER, gateway_at, modules

__all__ = ["modules"]

PLAIN = {
    "hydra/envoy.yaml": ("mcp-server, port_value: 3001", "hydra, port_value: 4444", 8080),
    "identity.yaml": ("mcp-server, port_value: 8000", "authorization-server, port_value: 8080", 8080),
    "observability/tracing.yaml": (
        "mcp-server, port_value: 8000", "authorization-server, port_value: 8080", 8080,
    ),
    "envoy.yaml": ("mcp-server, port_value: 3000", "auth.example.com, port_value: 443", 8443),
}  # fmt: skip


@contextmanager
def plain(name: str, directory: Path, server: Recorder, refused: int) -> Iterator[Running]:
    """An example that is a configuration of Envoy's, its authorization server unreachable."""
    upstream, authorization, port = PLAIN[name]
    text = (FOLDER / name).read_text()
    replacements = {
        f"address: 0.0.0.0, port_value: {port}": "address: 127.0.0.1, port_value: 0",
        f"address: {upstream}": f"address: 127.0.0.1, port_value: {server.port}",
        f"address: {authorization}": f"address: 127.0.0.1, port_value: {refused}",
        "/etc/envoy/mcp_auth_filter.wasm": str(Path(FOLDER.parent / "dist/mcp_auth_filter.wasm")),
    }
    if name == "envoy.yaml":
        certificates.self_signed(directory, "mcp.example.com")
        replacements["/etc/envoy/tls/"] = f"{directory}/"
        replacements["/etc/ssl/certs/ca-certificates.crt"] = f"{directory}/server.crt"
    if name.startswith("observability"):
        replacements["otel-collector, port_value: 4318"] = f"127.0.0.1, port_value: {refused}"
    with started(adapted(text, replacements), directory) as envoy:
        yield envoy


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_reaches_it_behind_envoys_examples(name: str, tmp_path: Path) -> None:
    if name == "observability/tracing.yaml" and "MCP_AUTH_ENVOY" in os.environ:
        pytest.skip("its custom tags are newer than the oldest Envoy")
    with (
        Recorder() as server,
        ReservedPort() as refused,
        plain(name, tmp_path, server, refused.number) as envoy,
    ):
        connect = volley.plain(envoy.port)
        if name == "envoy.yaml":
            context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
            connect = volley.tls(envoy.port, context, "mcp.example.com")
        nothing_reaches(server, connect)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nothing_reaches_it_behind_a_control_planes(
    name: str, wasm: Path, modules: int, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Recorder())
        trusted = certificates.self_signed(tmp_path, "auth.example.com", "auth")
        keys = stack.enter_context(
            KeyServer(
                [tokens.public_jwk("rsa-1")],
                issuer=ISSUER,
                jwks_uri=f"{ISSUER}/keys",
                tls=certificates.server_context(trusted),
            )
        )
        certificate = certificates.self_signed(tmp_path, HOST)
        authorization_server = Server(keys.port, trusted)
        parts = Parts(tmp_path, wasm, certificate, Server(server.port), authorization_server, modules)
        envoy = stack.enter_context(started(bootstrap(name, parts), tmp_path))
        nothing_reaches(server, gateway_at(envoy.port, certificate))


def test_the_public_route_that_is_shown_opens_nothing_else(tmp_path: Path) -> None:
    """Uncommented, as envoy.yaml has it: the server is reached there, and no name with it."""
    text = (FOLDER / "envoy.yaml").read_text()
    lines = text.splitlines()
    (start,) = [at for at, line in enumerate(lines) if "# - match: { path: /health }" in line]
    for at in itertools.count(start):
        if not lines[at].lstrip().startswith("# "):
            break
        lines[at] = lines[at].replace("# ", "", 1)
    example = tmp_path / "envoy"
    example.mkdir()
    with Recorder() as server, ReservedPort() as refused:
        certificates.self_signed(tmp_path, "mcp.example.com")
        made = adapted(
            "\n".join(lines),
            {
                "address: 0.0.0.0, port_value: 8443": "address: 127.0.0.1, port_value: 0",
                "address: mcp-server, port_value: 3000": f"address: 127.0.0.1, port_value: {server.port}",
                "address: auth.example.com, port_value: 443": f"address: 127.0.0.1, port_value: {refused.number}",
                "/etc/envoy/mcp_auth_filter.wasm": str(FOLDER.parent / "dist/mcp_auth_filter.wasm"),
                "/etc/envoy/tls/": f"{tmp_path}/",
                "/etc/ssl/certs/ca-certificates.crt": f"{tmp_path}/server.crt",
            },
        )
        with started(made, example) as envoy:
            context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
            connect = volley.tls(envoy.port, context, "mcp.example.com")
            forged = [("x-mcp-sub", "mallory"), ("x-mcp-scope", "mcp")]
            sent = [
                volley.request(target, "GET", headers=forged)
                for target in (b"/health", b"/health/", b"/healthx", b"/", b"/mcp", b"/x")
            ]
            statuses = [one.status for one in volley.volley(connect, sent, 1)]
            # Where there is no route, it is the interlock that answers first.
            assert statuses == [200, 403, 403, 403, 401, 403]
            (arrived,) = server.everything()
            assert arrived.target == "/health"
            assert not arrived.all("x-mcp-sub") and not arrived.all("x-mcp-scope")
