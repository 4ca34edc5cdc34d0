"""glewlwyd from Debian (scripts/providers --install), set up by its admin API as its page says."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import sqlite3
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from support import paths
from support.authorization import callback_query, said
from support.code_flow import REDIRECT_URI, CodeFlow
from support.ports import free_port
from support.processes import Child

from .server import Introspection, Json, Server, wait_for

UNPACKED = paths.TOOLS / "provider-servers" / "glewlwyd"
PLUGIN = "oidc"
INTROSPECTION_SCOPE = "introspection"


class Glewlwyd(Server):
    """Its pages are one program in the browser: this calls what that calls."""

    title = "glewlwyd"
    page = "glewlwyd.md"
    scope = "mcp:tools"

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str],
        plugin: Mapping[str, Any] | None = None,
        program: Path = UNPACKED,
    ) -> None:
        """`plugin`: parameters of the plugin besides those of the page."""
        super().__init__()
        self._program = program
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.issuer = f"{self.origin}/api/{PLUGIN}"
        self._secret = secrets.token_hex(16)
        self._keys: list[Json] = [_new_key()]
        self._parameters = parameters(self.issuer, resources) | dict(plugin or {})
        directory.mkdir(parents=True, exist_ok=True)
        [libraries] = program.glob("usr/lib/*-linux-gnu")
        try:
            self._child = self._stack.enter_context(
                Child(
                    "glewlwyd",
                    [program / "usr/bin/glewlwyd", f"--config-file={_settings(directory, port, program)}"],
                    directory,
                    environment={"LD_LIBRARY_PATH": str(libraries)},
                )
            )
            wait_for(f"{self.origin}/config", "glewlwyd", check=self._child.check)
            self._admin = self._stack.enter_context(httpx.Client(base_url=self.origin, timeout=60))
            self._set_up()
        except BaseException:
            self.stop()
            raise

    def _set_up(self) -> None:
        self._call("POST", "/api/auth/", {"username": "admin", "password": "password"})
        self._call("POST", "/api/scope/", {"name": self.scope, "password_required": True})
        alice = {
            "username": "alice",
            "password": "alice-alice",
            "scope": ["openid", "g_profile", self.scope],
            "enabled": True,
        }
        self._call("POST", "/api/user/", alice)
        asking = {
            "client_id": "mcp-server",
            "client_secret": self._secret,
            "confidential": True,
            "enabled": True,
            "authorization_type": ["client_credentials"],
            "token_endpoint_auth_method": ["client_secret_basic"],
        }
        self._call("POST", "/api/client/", asking)
        plugin = {"module": "oidc", "name": PLUGIN, "display_name": PLUGIN, "enabled": True}
        self._call("POST", "/api/mod/plugin/", {**plugin, "parameters": self._with_keys()})

    def _with_keys(self) -> Json:
        return {**self._parameters, "jwks-private": json.dumps({"keys": self._keys})}

    def _call(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        answer = self._admin.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    @property
    def version(self) -> str:
        """Of Debian's package."""
        with gzip.open(self._program / "usr/share/doc/glewlwyd/changelog.Debian.gz", "rt") as log:
            found = re.search(r"\((\S+)\)", log.readline())
        assert found is not None
        return found[1]

    def new_client(self, scope: str) -> CodeFlow:
        """One with a secret: those that register without one (`none`) get no tokens."""
        method = "client_secret_post"
        return CodeFlow.registered(self.metadata(), scope=scope, token_endpoint_auth_method=method)

    @property
    def introspection(self) -> Introspection:
        endpoint = self.metadata()["introspection_endpoint"]
        return Introspection(endpoint, "mcp-server", self._secret)

    async def browse(
        self,
        authorization_url: str,
        redirect_uri: str,
        on_redirect: Callable[[str, str], None] | None = None,
    ) -> dict[str, str]:
        target = authorization_url
        async with httpx.AsyncClient(timeout=60, base_url=self.origin) as browser:
            for _ in range(8):
                answer = await browser.get(target)
                if not answer.has_redirect_location:
                    raise RuntimeError(f"login stopped: {answer.status_code} {said(answer.text)}")
                before, target = target, urllib.parse.urljoin(target, answer.headers["location"])
                if on_redirect is not None:
                    on_redirect(before, target)
                if target.startswith(redirect_uri):
                    return callback_query(target)
                if "/login.html" in target:
                    target = await _log_in(browser, callback_query(target))
        raise RuntimeError("login went in circles")

    def add_public_client(self, client_id: str) -> None:
        """By hand: those that register themselves without a secret get no tokens."""
        public = {
            "client_id": client_id,
            "confidential": False,
            "enabled": True,
            "redirect_uri": [REDIRECT_URI],
            "authorization_type": ["code", "refresh_token"],
        }
        self._call("POST", "/api/client/", public)

    def revoke(self, got: Json) -> str:
        """Clients that register themselves may not: 401."""
        form = {"token": got["access_token"], "token_type_hint": "access_token"}
        credentials = httpx.BasicAuth("mcp-server", self._secret)
        endpoint = self.metadata()["revocation_endpoint"]
        httpx.post(endpoint, data=form, auth=credentials, timeout=60).raise_for_status()
        return "revoked by the client that asks"

    def rotate(self) -> None:
        self._keys.insert(0, _new_key())
        described = self._call("GET", f"/api/mod/plugin/{PLUGIN}").json()
        self._call("PUT", f"/api/mod/plugin/{PLUGIN}", {**described, "parameters": self._with_keys()})
        self._call("PUT", f"/api/mod/plugin/{PLUGIN}/reset/")

    def log(self) -> str:
        return self._child.stdout_path.read_text() + self._child.log()


async def _log_in(browser: httpx.AsyncClient, asked: dict[str, str]) -> str:
    """Password and consent; the address that the page goes back to."""
    who = {"username": "alice", "password": "alice-alice"}
    (await browser.post("/api/auth/", json=who)).raise_for_status()
    granted = await browser.put(
        f"/api/auth/grant/{asked['client_id']}", json={"scope": asked["scope"]}
    )
    granted.raise_for_status()
    return f"{asked['callback_url']}&g_continue"


def parameters(issuer: str, resources: Sequence[str]) -> Json:
    """Those of the page; the rest is as its admin page has it for a new plugin."""
    return {
        "iss": issuer,
        "allowed-scope": ["openid", Glewlwyd.scope],
        "jwks-show": True,
        "access-token-duration": 3600,
        "refresh-token-duration": 1209600,
        "code-duration": 600,
        "refresh-token-rolling": True,
        "auth-type-code-enabled": True,
        "auth-type-refresh-enabled": True,
        "auth-type-client-enabled": True,
        # Scopes without `openid`.
        "allow-non-oidc": True,
        "pkce-allowed": True,
        "register-client-allowed": True,
        "register-client-auth-scope": [],
        "resource-allowed": True,
        "resource-scope": {Glewlwyd.scope: list(resources)},
        "introspection-revocation-allowed": True,
        "introspection-revocation-allow-target-client": True,
        # Without any, a client is told of its own tokens alone.
        "introspection-revocation-auth-scope": [INTROSPECTION_SCOPE],
    }


def _new_key() -> Json:
    key = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    return {**key, "alg": "ES256", "kid": str(uuid.uuid4())}


def _settings(directory: Path, port: int, program: Path) -> Path:
    """Its configuration, with an empty database."""
    database = directory / "glewlwyd.db"
    [tables] = program.glob("usr/share/dbconfig-common/data/glewlwyd/install/sqlite3*")
    with sqlite3.connect(database) as connection:
        connection.executescript(tables.read_text())
    connection.close()
    modules = program / "usr/lib/glewlwyd"
    file = directory / "glewlwyd.conf"
    file.write_text(
        f"""
port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}"
login_url="login.html"
api_prefix="api"
static_files_path="{program}/usr/share/glewlwyd/webapp"
log_mode="console"
log_level="WARNING"
cookie_domain="127.0.0.1"
cookie_secure=0
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
user_middleware_module_path="{modules}/user_middleware"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA256"
database = {{ type = "sqlite3" path = "{database}" }}
"""
    )
    return file
