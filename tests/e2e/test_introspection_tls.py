"""envoy/introspection.yaml as shipped: over TLS, and only the issuer learns token and credentials."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import cases, certificates, http1, paths
from support.example import FOLDER, Running, adapted, commented, started
from support.introspection_server import IntrospectionServer, active, basic
from support.recorder import Recorder, new_test_id
from support.waiting import until

ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"
TOKEN = "ory_at_mgvDfVDjOmsCTFjuqAO6"
# Those of the example's comment.
SECRET = "SECRET"
PATIENCE = 60


@dataclass(frozen=True)
class World:
    envoy: Running
    asked: IntrospectionServer
    metadata: IntrospectionServer
    """Another server of the issuer's, that nobody may show credentials to."""
    trusted: ssl.SSLContext
    secret: Path

    def get(self, test_id: str | None = None) -> http1.Response:
        headers = [("authorization", f"Bearer {TOKEN}"), ("x-test-id", test_id or new_test_id())]
        plain = socket.create_connection(("127.0.0.1", self.envoy.port), timeout=PATIENCE)
        with self.trusted.wrap_socket(plain, server_hostname="mcp.example.com") as connection:
            connection.sendall(http1.encode("GET", "/mcp", headers, host="mcp.example.com"))
            return http1.read_response(connection)

    def counter(self, name: str) -> int:
        return self.envoy.stats(f"^{name}$").get(name, 0)

    def is_refused_as_an_outage(self) -> None:
        """A token that nobody could be asked about is not called a bad one."""
        expected = cases.reasons()["introspection_unavailable"]
        before = len(self.envoy.access_log())
        answer = self.get()
        assert answer.status == expected["status"] == 503
        assert answer.json()["error_description"] == expected["description"]
        assert int(answer.header("retry-after") or "") > 0
        assert answer.header("www-authenticate") is None
        line = until(lambda: self.envoy.access_log()[before:], "the access log", timeout=PATIENCE)[0]
        assert line["reason"] == "introspection_unavailable"


@contextmanager
def running(
    directory: Path,
    server: Recorder,
    *,
    name: str = "auth.example.com",
    is_trusted: bool = True,
    speaks_tls: bool = True,
    secret: str = SECRET,
) -> Iterator[World]:
    """The example, and the server that is asked: the name in its certificate, who trusts that."""
    certificates.self_signed(directory, "mcp.example.com")
    good = certificates.self_signed(directory, "auth.example.com", "auth")
    is_good = is_trusted and name == "auth.example.com"
    theirs = good if is_good else certificates.self_signed(directory, name, "asked")
    trusted = {good, theirs} if is_trusted else {good}
    (directory / "trusted.pem").write_text("".join(one.read_text() for one in trusted))
    example = (FOLDER / "introspection.yaml").read_text()
    secret_file = directory / "introspection-secret.yaml"
    secret_file.write_text(
        adapted(commented(example), {basic("mcp-server", SECRET): basic("mcp-server", secret)})
    )
    with ExitStack() as stack:
        metadata = stack.enter_context(
            IntrospectionServer(issuer=ISSUER, tls=certificates.server_context(good))
        )
        tls = certificates.server_context(theirs) if speaks_tls else None
        asked = stack.enter_context(IntrospectionServer(issuer=ISSUER, tls=tls, secret=SECRET))
        asked.tokens[TOKEN] = active({"aud": RESOURCE, "scope": "mcp", "sub": "alice"})
        # In the order of the file: the cluster of metadata and keys, then the one that asks.
        address = "address: auth.example.com, port_value: 443"
        ports = iter((metadata.port, asked.port))
        parts = example.split(address)
        text = parts[0] + "".join(
            f"address: 127.0.0.1, port_value: {next(ports)}{part}" for part in parts[1:]
        )
        text = adapted(
            text,
            {
                "address: 0.0.0.0, port_value: 8443": "address: 127.0.0.1, port_value: 0",
                "address: mcp-server, port_value: 3000": f"address: 127.0.0.1, port_value: {server.port}",
                "/etc/envoy/mcp_auth_filter.wasm": str(paths.wasm_module()),
                "/etc/envoy/tls/": f"{directory}/",
                "/etc/ssl/certs/ca-certificates.crt": str(directory / "trusted.pem"),
                "path: /etc/envoy/introspection-secret.yaml": f"path: {secret_file}",
            },
        )
        envoy = stack.enter_context(started(text, directory))
        context = ssl.create_default_context(cafile=str(directory / "server.crt"))
        yield World(envoy, asked, metadata, context, secret_file)
        assert metadata.flaws == asked.flaws == []
        assert metadata.asked == []


def test_it_asks_the_issuer_with_its_credentials(tmp_path: Path, recorder: Recorder) -> None:
    with running(tmp_path, recorder) as world:
        test_id = new_test_id()
        assert world.get(test_id).status == 200
        arrived = recorder.one(test_id)
        assert arrived.header("x-mcp-sub") == "alice"
        assert arrived.header("authorization") is None
        assert world.asked.times(TOKEN) == 1
        assert world.counter("cluster.introspection.ssl.handshake") > 0
        shown = http1.request(world.envoy.admin, "GET", "/config_dump").body.decode()
        assert basic("mcp-server", SECRET) not in shown
        assert "[redacted]" in shown


@pytest.mark.parametrize(
    ("name", "is_trusted", "counter"),
    [
        ("other.example.com", True, "fail_verify_san"),
        ("auth.example.com", False, "fail_verify_error"),
    ],
    ids=["another name", "unknown CA"],
)
def test_who_cannot_prove_to_be_the_issuer_learns_nothing(
    tmp_path: Path, recorder: Recorder, name: str, is_trusted: bool, counter: str
) -> None:
    with running(tmp_path, recorder, name=name, is_trusted=is_trusted) as world:
        world.is_refused_as_an_outage()
        assert world.counter(f"cluster.introspection.ssl.{counter}") > 0
        assert world.asked.asked == []


def test_nothing_is_said_without_tls(tmp_path: Path, recorder: Recorder) -> None:
    with running(tmp_path, recorder, speaks_tls=False) as world:
        world.is_refused_as_an_outage()
        assert world.asked.asked == []


def test_wrong_credentials_are_an_outage_until_the_file_has_others(
    tmp_path: Path, recorder: Recorder
) -> None:
    with running(tmp_path, recorder, secret="old") as world:
        world.is_refused_as_an_outage()
        said = "credentials of the introspection cluster"
        until(lambda: said in world.envoy.child.log(), "the log line", timeout=PATIENCE)
        # As the example says: another file, moved over it.
        new = tmp_path / "new.yaml"
        old, good = (basic("mcp-server", one) for one in ("old", SECRET))
        new.write_text(adapted(world.secret.read_text(), {old: good}))
        os.rename(new, world.secret)
        until(lambda: world.get().status == 200, "the new credentials", timeout=PATIENCE)
