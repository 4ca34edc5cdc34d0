"""An issuer that answers questions about tokens (RFC 7662), as a test tells it to, faults included.

Its cluster has the credentials, from a file that Envoy watches (SDS), as in envoy/introspection.yaml.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from .bootstrap import Json, cluster
from .threaded import Threaded

_TYPE = "type.googleapis.com/envoy"

Answer = tuple[int, bytes]
"""Status and body; status 0 closes the connection."""

INACTIVE: Answer = (200, b'{"active":false}')


def active(claims: Json) -> Answer:
    return 200, json.dumps({"active": True, **claims}).encode()


def basic(client: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


def asking_cluster(name: str, port: int, credentials: str, directory: Path) -> Json:
    """A cluster whose requests carry these credentials."""
    directory.mkdir(parents=True, exist_ok=True)
    secret = {
        "resources": [
            {
                "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.Secret",
                "name": name,
                "generic_secret": {"secret": {"inline_string": credentials}},
            }
        ]
    }
    file = directory / f"{name}.json"
    file.write_text(json.dumps(secret))
    injector = {
        "@type": f"{_TYPE}.extensions.filters.http.credential_injector.v3.CredentialInjector",
        "credential": {
            "name": "generic",
            "typed_config": {
                "@type": f"{_TYPE}.extensions.http.injected_credentials.generic.v3.Generic",
                "credential": {
                    "name": name,
                    "sds_config": {
                        "resource_api_version": "V3",
                        "path_config_source": {"path": str(file)},
                    },
                },
            },
        },
    }
    codec = f"{_TYPE}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    options = {
        "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": codec}},
        ],
    }
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {**cluster(name, port), "typed_extension_protocol_options": {key: options}}


class IntrospectionServer(Threaded):
    """`tokens` says what is answered; `fault`, where it is set, is asked first."""

    def __init__(
        self,
        *,
        client: str = "mcp-server",
        secret: str = "for-tests-only",
        issuer: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`issuer`: its name, if that is not its address. With `tls` it speaks TLS, and nothing else."""
        self.credentials = basic(client, secret)
        self.tokens: dict[str, Answer] = {}
        self.fault: Callable[[str], Answer | None] | None = None
        self.delay_seconds = 0.0
        self.asked: list[tuple[float, str]] = []
        """When, and about which token."""
        self.flaws: list[str] = []
        """Of questions that were not as they should be."""
        self.at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # Head and body in one piece: no delayed acknowledgement between them.

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                outer._answer(self, self.rfile.read(length))

            def do_GET(self) -> None:
                outer._metadata(self)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(Handler, tls)
        self.issuer = issuer or self.origin
        self.endpoint = f"{self.issuer}/introspect/"

    def times(self, token: str) -> int:
        with self._lock:
            return Counter(one for _, one in self.asked)[token]

    def _metadata(self, request: BaseHTTPRequestHandler) -> None:
        """In one of the two places alone, as Django OAuth Toolkit has it."""
        document = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        if request.path == "/.well-known/openid-configuration":
            document["introspection_endpoint"] = self.endpoint
        if "authorization" in request.headers:
            self.flaws.append(f"credentials went to {request.path}")
        _send(request, (200, json.dumps(document).encode()))

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        form = urllib.parse.parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
        [token] = form.pop("token")
        with self._lock:
            self.asked.append((time.monotonic(), token))
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
            self._judge(request, form)
        try:
            if self.delay_seconds:
                time.sleep(self.delay_seconds)
            fault = self.fault(token) if self.fault is not None else None
            if request.headers.get("authorization") != self.credentials:
                fault = 401, b""
            _send(request, fault or self.tokens.get(token, INACTIVE))
        finally:
            with self._lock:
                self._under_way -= 1

    def _judge(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        expected = {
            "host": (request.headers.get("host"), urllib.parse.urlsplit(self.issuer).netloc),
            "path": (request.path, "/introspect/"),
            "form": (form, {"token_type_hint": ["access_token"]}),
            "content-type": (
                request.headers.get("content-type"),
                "application/x-www-form-urlencoded",
            ),
            "accept": (request.headers.get("accept"), "application/json"),
        }
        self.flaws += [
            f"{name}: {found}" for name, (found, right) in expected.items() if found != right
        ]


def _send(request: BaseHTTPRequestHandler, answer: Answer) -> None:
    status, body = answer
    if status == 0:
        request.close_connection = True
        return
    try:
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except OSError:
        request.close_connection = True  # Envoy did not want to wait, or to read all of it.
