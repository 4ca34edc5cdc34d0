"""The decision is on each request's span: envoy/observability/tracing.yaml as it is."""

from __future__ import annotations

from pathlib import Path

from support import http1, paths, tokens
from support.key_server import KeyServer
from support.otlp import Span, spans
from support.recorder import Recorder
from support.waiting import until
from test_examples import adapted, started, validate

TRACING = paths.REPOSITORY / "envoy" / "observability" / "tracing.yaml"
ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"


def prepared() -> str:
    return adapted(
        TRACING.read_text(), {"/etc/envoy/mcp_auth_filter.wasm": str(paths.wasm_module())}
    )


def test_envoy_takes_it(tmp_path: Path) -> None:
    done = validate(prepared(), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "deprecated" not in done.stdout.lower()


def test_spans_have_decision_reason_and_caller(tmp_path: Path) -> None:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "cli", "scope": "mcp"}
    good = tokens.mint({}, claims)
    forged = tokens.mint({"damage": "signature"}, claims)
    with (
        KeyServer([tokens.public_jwk("rsa-1")]) as keys,
        Recorder() as server,
        Recorder() as collector,
    ):
        text = adapted(
            prepared(),
            {
                "address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: 0",
                "address: mcp-server, port_value: 8000": f"address: 127.0.0.1, port_value: {server.port}",
                "address: authorization-server, port_value: 8080": f"address: 127.0.0.1, port_value: {keys.port}",
                "address: otel-collector, port_value: 4318": f"address: 127.0.0.1, port_value: {collector.port}",
                "type: STRICT_DNS": "type: STATIC",
                "/jwks": keys.jwks_path,
            },
        )
        with started(text, tmp_path) as envoy:
            # No UUID: Envoy makes no span of it.
            assert http1.get(envoy.port, "/mcp", good, [("x-request-id", "1")]).status == 200
            assert http1.get(envoy.port, "/mcp", good).status == 200
            assert http1.get(envoy.port, "/mcp", forged).status == 401
            assert http1.get(envoy.port, "/mcp").status == 401
            assert http1.get(envoy.port, "/elsewhere").status == 403

            def exported() -> list[Span]:
                return [one for sent in collector.everything() for one in spans(sent.body)]

            # Envoy exports every five seconds.
            until(lambda: len(exported()) >= 4, "four spans", timeout=30)
            found = exported()
    told = [
        {
            name.removeprefix("mcp_auth."): value
            for name, value in span.attributes.items()
            if name.startswith("mcp_auth.")
        }
        for span in sorted(found, key=lambda span: span.start)
    ]
    caller = {"subject": "alice", "client": "cli", "issuer": ISSUER}
    # What is not known is not there.
    assert told == [
        {"decision": "allow", **caller},
        {"reason": "signature_invalid"},
        {"reason": "credentials_missing"},
        {"decision": "pass"},
    ]
    # The same ids as in access log and the filter's log lines.
    assert all(span.attributes["guid:x-request-id"] for span in found)
