"""The files under envoy/ are what users copy: the real Envoy takes them, and they do what they say."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import certificates, http1, paths, tokens
from support.example import FOLDER as EXAMPLES
from support.example import adapted, commented, started
from support.key_server import KeyServer
from support.ports import ReservedPort
from support.recorder import Recorder
from support.threaded import Threaded
from support.waiting import until

DEPLOYMENT = EXAMPLES / "envoy.yaml"
HYDRA = EXAMPLES / "hydra" / "envoy.yaml"
IDENTITY = EXAMPLES / "identity.yaml"
INTROSPECTION = EXAMPLES / "introspection.yaml"
FILES = [DEPLOYMENT, HYDRA]


def identifier(file: Path) -> str:
    return str(file.relative_to(EXAMPLES))


def prepared(file: Path, directory: Path) -> str:
    """The example's text with the paths of this machine."""
    replacements = {"/etc/envoy/mcp_auth_filter.wasm": str(paths.wasm_module())}
    if file == INTROSPECTION:
        secret = directory / "introspection-secret.yaml"
        secret.write_text(commented(file.read_text()))
        replacements["path: /etc/envoy/introspection-secret.yaml"] = f"path: {secret}"
    if file in (DEPLOYMENT, INTROSPECTION):
        certificates.self_signed(directory, "mcp.example.com")
        replacements["/etc/envoy/tls/"] = f"{directory}/"
        replacements["/etc/ssl/certs/ca-certificates.crt"] = f"{directory}/server.crt"
    return adapted(file.read_text(), replacements)


def test_asking_about_tokens_adds_to_the_deployment() -> None:
    """introspection.yaml is envoy.yaml but for its head, a member of the JSON, and a cluster."""
    ours, plain = INTROSPECTION.read_text(), DEPLOYMENT.read_text()
    ours, plain = (text[text.index("\nadmin:") :] for text in (ours, plain))
    asked = ",\n" + 34 * " " + '"introspection": { "cluster": "introspection" }'
    assert asked in ours
    assert ours.replace(asked, "").startswith(plain.rstrip("\n"))


def validate(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "envoy.yaml"
    file.write_text(text)
    return subprocess.run(
        [paths.envoy_binary(), "--mode", "validate", "--config-path", file],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("file", [*FILES, IDENTITY, INTROSPECTION], ids=identifier)
def test_envoy_takes_it(file: Path, tmp_path: Path) -> None:
    done = validate(prepared(file, tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "deprecated" not in done.stdout.lower()


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_validation_finds_a_mistake_in_the_filters_json(file: Path, tmp_path: Path) -> None:
    done = validate(adapted(prepared(file, tmp_path), {'"scopes": [': '"scope": ['}), tmp_path)
    assert done.returncode != 0
    assert "resources[0]" in done.stdout
    assert "resources[0].scope" in done.stdout


def test_filters_behind_know_the_caller(tmp_path: Path) -> None:
    """The worked examples of identity.yaml: access log, RBAC and rate limit by subject."""
    issuer, resource = "https://auth.example.com", "https://mcp.example.com/mcp"

    def bearer(subject: str) -> str:
        claims = {"iss": issuer, "aud": resource, "sub": subject, "client_id": "cli"}
        return tokens.mint({}, {**claims, "scope": "mcp extra"})

    with KeyServer([tokens.public_jwk("rsa-1")]) as keys, Recorder() as server:
        text = adapted(
            prepared(IDENTITY, tmp_path),
            {
                "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: 0",
                "address: mcp-server, port_value: 8000": f"address: 127.0.0.1, port_value: {server.port}",
                "address: authorization-server, port_value: 8080": f"address: 127.0.0.1, port_value: {keys.port}",
                "type: STRICT_DNS": "type: STATIC",
                "/jwks": keys.jwks_path,
            },
        )
        with started(text, tmp_path) as envoy:
            assert http1.get(envoy.port, "/mcp", bearer("alice")).status == 200
            assert http1.get(envoy.port, "/mcp", bearer("mallory")).status == 403
            assert http1.get(envoy.port, "/mcp", bearer("al\nice\u001b")).status == 200
            bob = bearer("bob")
            statuses = [http1.get(envoy.port, "/mcp", bob).status for _ in range(6)]
            assert statuses == [200] * 5 + [429]
            assert http1.get(envoy.port, "/mcp", bearer("alice")).status == 200
            assert http1.get(envoy.port, "/mcp").status == 401

            until(lambda: len(envoy.access_log()) == 11, "the access log")
            lines = envoy.access_log()
        assert lines[0] == {
            "status": 200,
            "decision": "allow",
            "reason": None,
            "subject": "alice",
            "client": "cli",
            "issuer": issuer,
            "scopes": "mcp extra",
        }
        assert (lines[1]["status"], lines[1]["subject"]) == (403, "mallory")
        assert lines[2]["subject"] == "al%0Aice%1B"
        assert (lines[-1]["reason"], lines[-1]["subject"]) == ("credentials_missing", None)


def test_the_examples_agree() -> None:
    """The part that both files have to have in common; they differ in TLS, names and limits."""
    for pattern in (
        r"^stats_config:\n(?: .*\n)+",
        r"^ *failure_policy: .*$",
        r"^ *vm_id: .*$",
        r"^ *(?:normalize_path|merge_slashes|path_with_escaped_slashes_action): .*$",
        r"^ *headers_with_underscores_action: .*$",
        r"^ *- filter_state: .*$",
    ):
        first, second = (re.findall(pattern, file.read_text(), re.MULTILINE) for file in FILES)
        assert first
        assert [line.strip() for line in first] == [line.strip() for line in second]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Envoy with the example of docker-compose, its servers unreachable: port and admin port."""
    directory = tmp_path_factory.mktemp("example")
    with ReservedPort() as refused:
        unreachable = f"address: 127.0.0.1, port_value: {refused.number}"
        text = adapted(
            prepared(HYDRA, directory),
            {
                "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: 0",
                "address: mcp-server, port_value: 3001": unreachable,
                "address: hydra, port_value: 4444": unreachable,
            },
        )
        with started(text, directory) as envoy:
            yield envoy.port, envoy.admin


def test_it_protects_the_server(running: tuple[int, int]) -> None:
    port, _ = running
    refused = http1.request(port, "POST", "/mcp", host="localhost:8080")
    assert refused.status == 401
    metadata = "http://localhost:8080/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{metadata}"' in (refused.header("www-authenticate") or "")
    document = http1.request(
        port, "GET", urllib.parse.urlsplit(metadata).path, host="localhost:8080"
    ).json()
    assert document["resource"] == "http://localhost:8080/mcp"
    assert document["authorization_servers"] == ["http://localhost:4444"]


def test_the_stats_tags_make_labels(running: tuple[int, int]) -> None:
    port, admin = running
    http1.request(port, "POST", "/mcp", host="localhost:8080")

    def lines() -> list[str]:
        text = http1.request(admin, "GET", "/stats/prometheus").body.decode()
        return re.findall(r"^mcp_auth_.*$", text, re.MULTILINE)

    # Workers tell what they have counted once a second.
    found = until(
        lambda: found if "mcp_auth_refused_total" in "".join(found := lines()) else None,
        "the filter's metrics",
    )
    by_name = {line.partition("{")[0]: line for line in found}
    refused = by_name["mcp_auth_refused_total"]
    assert 'reason="credentials_missing"' in refused
    assert 'resource="http://localhost:8080/mcp"' in refused
    assert 'decision="refuse"' in "\n".join(found)
    fetches = until(
        lambda: [line for line in lines() if line.startswith("mcp_auth_key_fetches_total{")],
        "a counted fetch",
    )
    assert all('issuer="http://localhost:4444"' in line for line in fetches)
    assert all(";" not in line and "=" not in line.partition("{")[0] for line in found)


class FakeHydra(ThreadingHTTPServer):
    """The part of Hydra's admin API that a login application calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHydraHandler)
        self.request_url = ""
        self.accepted: list[tuple[str, Any]] = []
        self.patched: list[tuple[str, Any]] = []


class FakeHydraHandler(BaseHTTPRequestHandler):
    server: FakeHydra

    def do_GET(self) -> None:
        self.answer(
            {
                "skip": False,
                "subject": "alice",
                "client": {"client_id": "c/d", "scope": "mcp", "audience": []},
                "requested_scope": ["mcp", "admin"],
                "requested_access_token_audience": [],
                "request_url": self.server.request_url,
            }
        )

    def do_PATCH(self) -> None:
        self.server.patched.append((self.path, self.body()))
        self.answer({})

    def do_PUT(self) -> None:
        self.server.accepted.append((self.path, self.body()))
        self.answer({"redirect_to": "http://localhost:4444/next"})

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hydra() -> Iterator[FakeHydra]:
    with FakeHydra() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def login_consent(monkeypatch: pytest.MonkeyPatch, hydra: FakeHydra) -> Iterator[int]:
    """The login application of docker-compose: its port."""
    monkeypatch.setenv("HYDRA_ADMIN_URL", f"http://127.0.0.1:{hydra.server_address[1]}")
    monkeypatch.setenv("RESOURCES", "http://localhost:8080/mcp http://localhost:8080/other")
    module = load(EXAMPLES / "hydra" / "login_consent.py")
    monkeypatch.setattr(module.Handler, "log_message", lambda *_: None)
    with Threaded(module.Handler) as server:
        yield server.port


def load(file: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_login_page_signs_in(login_consent: int, hydra: FakeHydra) -> None:
    page = http1.request(login_consent, "GET", "/login?login_challenge=a%22b")
    assert page.status == 200
    assert b'value="a&quot;b"' in page.body
    answer = http1.request(
        login_consent,
        "POST",
        "/login",
        [("content-type", "application/x-www-form-urlencoded"), ("content-length", "29")],
        b"challenge=a%22b&subject=alice",
    )
    assert (answer.status, answer.header("location")) == (303, "http://localhost:4444/next")
    assert hydra.accepted == [
        (
            "/admin/oauth2/auth/requests/login/accept?login_challenge=a%22b",
            {"subject": "alice", "remember": False},
        )
    ]


@pytest.mark.parametrize(
    ("query", "audience"),
    [
        ("resource=http%3A%2F%2Flocalhost%3A8080%2Fmcp", ["http://localhost:8080/mcp"]),
        ("resource=https%3A%2F%2Felsewhere.example%2Fmcp", []),
        ("resource=http%3A%2F%2Flocalhost%3A8080%2Fmcp%2F", []),
        ("", []),
    ],
    ids=["known", "unknown", "almost", "none"],
)
def test_consent_turns_the_resource_into_the_audience(
    login_consent: int, hydra: FakeHydra, query: str, audience: list[str]
) -> None:
    hydra.request_url = f"http://localhost:4444/oauth2/auth?client_id=c&{query}"
    answer = http1.request(login_consent, "GET", "/consent?consent_challenge=x")
    assert answer.status == 303
    ((path, granted),) = hydra.accepted
    assert path == "/admin/oauth2/auth/requests/consent/accept?consent_challenge=x"
    assert granted == {"grant_scope": ["mcp"], "grant_access_token_audience": audience}
    allowed = ("/admin/clients/c%2Fd", [{"op": "replace", "path": "/audience", "value": audience}])
    assert hydra.patched == ([allowed] if audience else [])


def test_a_page_without_a_challenge_is_refused(login_consent: int, hydra: FakeHydra) -> None:
    assert http1.request(login_consent, "GET", "/consent").status == 400
    assert not hydra.accepted
