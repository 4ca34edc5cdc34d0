"""The official SDK's client, with a login that needs no browser and a record of all traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from .authorization import browse

REDIRECT_URI = "http://127.0.0.1:3030/callback"

LEGACY = "legacy"
"""Client mode for the era of `initialize` and sessions (2025-11-25)."""
MODERN = "2026-07-28"
"""Client mode for the stateless era."""


@dataclass
class Login:
    """Token storage and browser in one; keeps what a test wants to look at."""

    redirect_uri: str = REDIRECT_URI
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    authorization_urls: list[str] = field(default_factory=list)
    on_redirect: Callable[[str, str], None] | None = None
    """Told of every redirect of the login: from where, to where."""
    browse: Callable[..., Awaitable[dict[str, str]]] = browse
    """The person at the browser, who knows this authorization server's pages."""

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def open_browser(self, url: str) -> None:
        self.authorization_urls.append(url)

    async def wait_for_callback(self) -> AuthorizationCodeResult:
        query = await self.browse(self.authorization_urls[-1], self.redirect_uri, self.on_redirect)
        if "code" not in query:
            raise RuntimeError(f"the authorization server refused: {query}")
        return AuthorizationCodeResult(
            code=query["code"], state=query.get("state"), iss=query.get("iss")
        )


@dataclass(frozen=True)
class Exchange:
    """One request of the client and the head of its answer."""

    request: httpx2.Request
    response: httpx2.Response

    @property
    def summary(self) -> str:
        return f"{self.request.method} {self.request.url} {self.response.status_code}"


@dataclass
class Connected:
    client: Client
    exchanges: list[Exchange]
    auth: OAuthClientProvider | None

    def sent(self, method: str, path: str) -> list[Exchange]:
        return [
            one
            for one in self.exchanges
            if one.request.method == method and one.request.url.path == path
        ]


def oauth(url: str, login: Login) -> OAuthClientProvider:
    metadata = OAuthClientMetadata.model_validate(
        {
            "client_name": "test client",
            "redirect_uris": [login.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        }
    )
    return OAuthClientProvider(
        url,
        metadata,
        login,
        redirect_handler=login.open_browser,
        callback_handler=login.wait_for_callback,
    )


@asynccontextmanager
async def connect(
    url: str,
    mode: str,
    login: Login | None = None,
    *,
    on_exchange: Callable[[Exchange], Awaitable[None]] | None = None,
    **options: Any,
) -> AsyncIterator[Connected]:
    """A connected client; with a `login` it answers a 401 by logging in."""
    auth = oauth(url, login) if login else None
    exchanges: list[Exchange] = []

    async def record(response: httpx2.Response) -> None:
        exchange = Exchange(response.request, response)
        exchanges.append(exchange)
        if on_exchange is not None:
            await on_exchange(exchange)

    http = create_mcp_http_client(auth=auth)
    http.event_hooks["response"] = [record]
    async with http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield Connected(client, exchanges, auth)
