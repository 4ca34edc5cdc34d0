"""Starting the real authorization server, and logging in to it the way a browser would."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from . import paths
from .processes import Child


class AuthorizationServer:
    """oidc-provider in a process of its own; see authorization_server/server.mjs."""

    def __init__(self, directory: Path, *, resources: Sequence[str], **options: Any) -> None:
        self._child = Child(
            "authorization-server",
            [
                paths.node_binary(),
                paths.AUTHORIZATION_SERVER,
                json.dumps({"resources": list(resources), **options}),
            ],
            directory,
            environment={"AUTHORIZATION_SERVER_MODULES": str(paths.AUTHORIZATION_SERVER_MODULES)},
        )
        try:
            ready = self._child.first_json_line()
        except BaseException:
            self._child.stop()
            raise
        self.issuer: str = ready["issuer"]
        self._control: str = ready["control"]
        self.port: int = urllib.parse.urlsplit(self.issuer).port or 0

    def rotate(self, *, drop_old: bool) -> str:
        """A new signing key; returns its `kid`. Without `drop_old` the set keeps the old ones."""
        return self._post(f"/rotate{'?drop=1' if drop_old else ''}")["kid"]

    def set_token_lifetime(self, seconds: int, *, told: bool = True) -> None:
        """For the access tokens issued from now on; `told`: whether clients learn of it."""
        self._post(f"/lifetime?seconds={seconds}&tell={int(told)}")

    def forget_refresh_tokens(self) -> None:
        self._post("/forget")

    def served(self) -> list[str]:
        """Method, path and status of every request so far; for tokens the grant type too."""
        return self._post("/served")["served"]

    def _post(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._control + path, method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def client_credentials(self, resource: str, scope: str, *, expect: int = 200) -> dict[str, Any]:
        """The token response for a client that registers itself first (RFC 6749 section 4.4)."""
        with httpx.Client(base_url=self.issuer) as http:
            registered = (
                http.post(
                    "/reg",
                    json={
                        "grant_types": ["client_credentials"],
                        "response_types": [],
                        "redirect_uris": [],
                        "token_endpoint_auth_method": "client_secret_post",
                        "client_name": "batch job",
                    },
                )
                .raise_for_status()
                .json()
            )
            answer = http.post(
                "/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": registered["client_id"],
                    "client_secret": registered["client_secret"],
                    "resource": resource,
                    "scope": scope,
                },
            )
        assert answer.status_code == expect, answer.text
        return answer.json()

    def token(self, resource: str, scope: str = "mcp:read") -> str:
        return self.client_credentials(resource, scope)["access_token"]

    def log(self) -> str:
        return self._child.log()

    def stop(self) -> None:
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def browse(
    authorization_url: str, redirect_uri: str, on_redirect: Callable[[str, str], None] | None = None
) -> dict[str, str]:
    """Follows the redirects of a login until the client's own URI; that URI's query."""
    async with httpx.AsyncClient() as browser:  # keeps the cookies of the login
        url = authorization_url
        for _ in range(10):
            response = await browser.get(url)
            if not response.has_redirect_location:
                raise RuntimeError(
                    f"login stopped at {url}: {response.status_code} {response.text}"
                )
            target = urllib.parse.urljoin(url, response.headers["location"])
            if on_redirect is not None:
                on_redirect(url, target)
            url = target
            if url.startswith(redirect_uri):
                return callback_query(url)
    raise RuntimeError("login went in circles")


def callback_query(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
