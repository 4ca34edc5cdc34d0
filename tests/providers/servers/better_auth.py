"""Better Auth's OAuth provider from npm (scripts/providers --install), run by better_auth/server.mjs."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from support import paths
from support.authorization import callback_query, said
from support.code_flow import CodeFlow
from support.ports import free_port
from support.processes import Child

from .server import PATIENCE, Introspection, Server

MODULES = paths.TOOLS / "provider-servers" / "better_auth"
PROGRAM = Path(__file__).with_name("better_auth") / "server.mjs"


class BetterAuth(Server):
    title = "Better Auth"
    page = "better-auth.md"
    scope = "mcp:tools"

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str],
        provider: Mapping[str, Any] | None = None,
        modules: Path = MODULES,
    ) -> None:
        """`provider`: options of `oauthProvider` besides those of server.mjs."""
        super().__init__()
        self._modules = modules
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.issuer = f"{self.origin}/api/auth"
        options = {"port": port, "resources": list(resources), "provider": dict(provider or {})}
        try:
            self._child = self._stack.enter_context(
                Child(
                    "better-auth",
                    [paths.node_binary(), PROGRAM, json.dumps(options)],
                    directory,
                    environment={"BETTER_AUTH_MODULES": str(modules), "NODE_NO_WARNINGS": "1"},
                )
            )
            self._child.first_json_line(timeout=PATIENCE)
        except BaseException:
            self.stop()
            raise
        self._asking: Introspection | None = None

    @property
    def version(self) -> str:
        package = self._modules / "node_modules" / "@better-auth" / "oauth-provider"
        return json.loads((package / "package.json").read_text())["version"]

    def new_client(self, scope: str) -> CodeFlow:
        """Redirects to loopback are for native clients (OpenID Connect Registration, section 2)."""
        return CodeFlow.registered(self.metadata(), scope=scope, application_type="native")

    async def browse(
        self,
        authorization_url: str,
        redirect_uri: str,
        on_redirect: Callable[[str, str], None] | None = None,
    ) -> dict[str, str]:
        """Its pages are the application's: this posts what those of its documentation post."""
        target = authorization_url
        async with httpx.AsyncClient(timeout=60, headers={"origin": self.origin}) as browser:
            for _ in range(16):
                parts = urllib.parse.urlsplit(target)
                if target.startswith(redirect_uri):
                    return callback_query(target)
                if parts.path == "/login":
                    who = {"email": "alice@example.com", "password": "alice-alice"}
                    answer = await browser.post(
                        f"{self.issuer}/sign-in/email", json={**who, "oauth_query": parts.query}
                    )
                elif parts.path == "/consent":
                    answer = await browser.post(
                        f"{self.issuer}/oauth2/consent",
                        json={"accept": True, "oauth_query": parts.query},
                    )
                else:
                    answer = await browser.get(target)
                before, target = target, _next(answer)
                if on_redirect is not None:
                    on_redirect(before, target)
        raise RuntimeError("login went in circles")

    @property
    def introspection(self) -> Introspection:
        """By a client that was registered for it; of opaque tokens it is told of its own alone."""
        if self._asking is None:
            registered = httpx.post(
                self.metadata()["registration_endpoint"],
                json={
                    "redirect_uris": ["https://unused.example.com/"],
                    "token_endpoint_auth_method": "client_secret_basic",
                },
                timeout=60,
            )
            assert registered.is_success, registered.text
            one = registered.json()
            endpoint = self.metadata()["introspection_endpoint"]
            self._asking = Introspection(endpoint, one["client_id"], one["client_secret"])
        return self._asking

    def rotate(self) -> None:
        httpx.post(f"{self.origin}/rotate", timeout=60).raise_for_status()

    def log(self) -> str:
        return self._child.stdout_path.read_text() + self._child.log()


def _next(answer: httpx.Response) -> str:
    if answer.has_redirect_location:
        return urllib.parse.urljoin(str(answer.url), answer.headers["location"])
    try:
        told = answer.json()
        return urllib.parse.urljoin(str(answer.url), told.get("url") or told["redirect_uri"])
    except (ValueError, KeyError):
        raise RuntimeError(
            f"login stopped at {answer.url.path}: {answer.status_code} {said(answer.text)}"
        ) from None
