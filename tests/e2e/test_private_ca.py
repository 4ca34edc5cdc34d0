"""Keys behind a private CA: the cluster of docs/providers/private-ca.md, certificates made here."""

from __future__ import annotations

import datetime
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support import bootstrap, cases, http1, paths, tokens
from support.bootstrap import Listener
from support.http1 import Response
from support.key_server import KeyServer
from support.processes import Child
from support.recorder import Recorder
from support.waiting import until

PAGE = paths.REPOSITORY / "docs" / "providers" / "private-ca.md"
NAME = "auth.internal.example"
ISSUER = f"https://{NAME}"
CLAIMS = {"iss": ISSUER, "aud": "https://mcp.example.com/mcp", "sub": "alice"}

HOUR = datetime.timedelta(hours=1)


class Authority:
    """A certificate authority that nobody else knows."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a private CA")])
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def write(self, file: Path) -> Path:
        file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def server(self, directory: Path, name: str, *, ended: bool = False) -> ssl.SSLContext:
        """TLS with a certificate for `name`; `ended`: it was good until an hour ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server")])
        certificate = (
            self._builder(subject, key, ended=ended)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = directory / "server.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ended: bool = False
    ) -> x509.CertificateBuilder:
        end = datetime.datetime.now(datetime.UTC) + (-HOUR if ended else HOUR)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 3 * HOUR)
            .not_valid_after(end)
        )


class TlsKeyServer(KeyServer):
    """The key server, behind TLS. Who does not trust its certificate asks for nothing."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(
            [tokens.public_jwk("rsa-1")], issuer=ISSUER, jwks_uri=f"{ISSUER}/keys"
        )

    def _serve(self, connection: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except OSError:  # the other end ends the handshake if it refuses the certificate
            connection.close()
            return
        super()._serve(secured)


@dataclass(frozen=True)
class Running:
    port: int
    admin: int
    child: Child

    def call(self) -> Response:
        return http1.get(self.port, "/mcp", tokens.mint({}, CLAIMS))

    def stat(self, name: str) -> int:
        text = http1.request(self.admin, "GET", f"/stats?filter=^{re.escape(name)}$").body.decode()
        return int(text.partition(": ")[2] or 0)


@contextmanager
def envoy(
    directory: Path, wasm: Path, recorder: Recorder, server: KeyServer, authority: Path, text: str
) -> Iterator[Running]:
    """Envoy with the page's cluster; Envoy itself reads its YAML, and adds it to the rest."""
    for old, new in {
        "type: STRICT_DNS": "type: STATIC",
        f"address: {NAME}, port_value: 443": f"address: 127.0.0.1, port_value: {server.port}",
        "/etc/envoy/tls/private-ca.pem": str(authority),
    }.items():
        assert old in PAGE.read_text(), f"{old} is no longer on the page"
        text = text.replace(old, new)
    [shown] = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    configuration: dict[str, Any] = json.loads(shown)
    configuration["issuers"][0]["keys"] = {"timeout_seconds": 2}
    listener = Listener(wasm=wasm, configuration=configuration)
    made = bootstrap.bootstrap(
        [bootstrap.cluster("upstream", recorder.port)],
        [bootstrap.listener_resource("mcp", listener, directory / "access.log")],
    )
    file = directory / "bootstrap.json"
    file.write_text(json.dumps(made))
    address = directory / "admin.address"
    with Child(
        "envoy",
        [
            paths.envoy_binary(),
            "--config-path", file,
            "--config-yaml", text,
            "--admin-address-path", address,
            "--disable-hot-restart",
            "--concurrency", "1",
            "--log-level", "warning",
            "--component-log-level", "wasm:info",
        ],
        directory,
    ) as child:  # fmt: skip

        def admin() -> int | None:
            child.check()
            written = address.read_text() if address.exists() else ""
            return int(written.rpartition(":")[2]) if written.strip() else None

        admin_port = until(admin, "Envoy's admin address", timeout=30)

        def port() -> int | None:
            child.check()
            answer = http1.request(admin_port, "GET", "/listeners?format=json").json()
            found = answer.get("listener_statuses")
            return found[0]["local_address"]["socket_address"]["port_value"] if found else None

        yield Running(until(port, "Envoy's listener", timeout=30), admin_port, child)


def page_cluster() -> str:
    [text] = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


@dataclass(frozen=True)
class Trial:
    """The difference from a good setup; `removed`: lines of the page's cluster."""

    name: str = NAME
    ended: bool = False
    trusts_another: bool = False
    removed: tuple[str, ...] = ()


@contextmanager
def trial(directory: Path, wasm: Path, recorder: Recorder, one: Trial) -> Iterator[Running]:
    authority = Authority()
    trusted = (Authority() if one.trusts_another else authority).write(directory / "ca.pem")
    text = page_cluster()
    for lines in one.removed:
        assert lines in text
        text = text.replace(lines, "")
    with ExitStack() as stack:
        context = authority.server(directory, one.name, ended=one.ended)
        server = stack.enter_context(TlsKeyServer(context))
        yield stack.enter_context(envoy(directory, wasm, recorder, server, trusted, text))


def test_keys_come_over_tls(wasm: Path, recorder: Recorder, tmp_path: Path) -> None:
    with trial(tmp_path, wasm, recorder, Trial()) as running:
        assert running.call().status == 200
        assert running.stat("cluster.auth.ssl.handshake") > 0


@pytest.mark.parametrize(
    ("one", "counter"),
    [
        (Trial(trusts_another=True), "fail_verify_error"),
        (Trial(ended=True), "fail_verify_error"),
        (Trial(name="other.internal.example"), "fail_verify_san"),
    ],
    ids=["another CA", "ended certificate", "another name"],
)
def test_who_is_not_trusted_cannot_give_keys(
    wasm: Path, recorder: Recorder, tmp_path: Path, one: Trial, counter: str
) -> None:
    """A good token is not called a bad one, and Envoy's counters say what is wrong."""
    expected = cases.reasons()["keys_unavailable"]
    with trial(tmp_path, wasm, recorder, one) as running:
        answer = running.call()
        assert answer.status == expected["status"] == 503
        assert answer.json()["error_description"] == expected["description"]
        assert int(answer.header("retry-after") or "") > 0
        assert answer.header("www-authenticate") is None
        assert running.stat(f"cluster.auth.ssl.{counter}") > 0
        assert f"`cluster.auth.ssl.{counter}`" in PAGE.read_text()


NAME_CHECK = "            auto_san_validation: true\n"
TRUST = """\
          common_tls_context:
            validation_context:
              trusted_ca: { filename: /etc/envoy/tls/private-ca.pem }
"""


@pytest.mark.parametrize(
    "one",
    [
        Trial(name="other.internal.example", removed=(NAME_CHECK,)),
        Trial(trusts_another=True, removed=(TRUST, NAME_CHECK)),
    ],
    ids=["no check of the name", "no check at all"],
)
def test_what_the_checks_are_for(
    wasm: Path, recorder: Recorder, tmp_path: Path, one: Trial
) -> None:
    """Without them, keys come from a server that could be anybody's."""
    with trial(tmp_path, wasm, recorder, one) as running:
        assert running.call().status == 200


def test_a_name_cannot_be_checked_without_a_ca(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    with trial(tmp_path, wasm, recorder, Trial(removed=(TRUST,))) as running:
        assert running.call().status == 503
        assert running.stat("cluster.auth.upstream_cx_connect_fail") > 0


@pytest.mark.parametrize(("listens", "status"), [(False, 503), (True, 504)])
def test_nobody_speaks_tls(
    wasm: Path, recorder: Recorder, tmp_path: Path, listens: bool, status: int
) -> None:
    """A closed port, and a server that waits for plain HTTP; the log tells them apart."""
    authority = Authority().write(tmp_path / "ca.pem")
    with KeyServer([tokens.public_jwk("rsa-1")], issuer=ISSUER) as server:
        if not listens:
            server.refuse()
        with envoy(tmp_path, wasm, recorder, server, authority, page_cluster()) as running:
            assert running.call().status == 503
            said = f'keys: issuer {ISSUER}: the answer has status {status}, from "{ISSUER}/'
            until(lambda: said in running.child.log(), "the log to say so")
            assert running.stat("cluster.auth.ssl.handshake") == 0
    assert f"`the answer has status {status}`" in PAGE.read_text()
