"""A login with code and PKCE (RFC 7636) against any authorization server, without an SDK."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import urllib.parse
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx

from .authorization import browse

REDIRECT_URI = "http://127.0.0.1:3030/callback"

Json = dict[str, Any]


class LoginFailed(RuntimeError):
    """The authorization server refused; carries its words."""


@dataclass(frozen=True)
class CodeFlow:
    """One client of one authorization server; `metadata` as its discovery gives it."""

    metadata: Json
    client_id: str
    secret: str | None = None
    redirect_uri: str = REDIRECT_URI
    browse: Callable[[str, str], Coroutine[Any, Any, dict[str, str]]] = browse
    """The person at the browser, who knows this authorization server's pages."""
    token_headers: Callable[[str], dict[str, str]] | None = None
    """Headers for the token endpoint, such as a DPoP proof (RFC 9449)."""

    @classmethod
    def registered(cls, metadata: Json, **members: Any) -> CodeFlow:
        """Registers a public client first (RFC 7591)."""
        answer = httpx.post(
            metadata["registration_endpoint"],
            json={
                "client_name": "a test",
                "redirect_uris": [REDIRECT_URI],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                **members,
            },
            timeout=60,
        )
        # RFC 7591 has 201; clients take 200, which glewlwyd answers.
        if answer.status_code not in (200, 201):
            raise LoginFailed(f"registration: {answer.status_code} {answer.text}")
        registered = answer.json()
        is_public = registered.get("token_endpoint_auth_method") == "none"
        secret = None if is_public else registered.get("client_secret")
        return cls(metadata, registered["client_id"], secret)

    def login(self, *, resource: str | None, scope: str) -> Json:
        """The token response of a whole login."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": scope,
            "state": secrets.token_urlsafe(16),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({} if resource is None else {"resource": resource}),
        }
        url = f"{self.metadata['authorization_endpoint']}?{urllib.parse.urlencode(query)}"
        callback = asyncio.run(self.browse(url, self.redirect_uri))
        if "code" not in callback:
            raise LoginFailed(str(callback))
        return self._token(
            {
                "grant_type": "authorization_code",
                "code": callback["code"],
                "redirect_uri": self.redirect_uri,
                "code_verifier": verifier,
                **({} if resource is None else {"resource": resource}),
            }
        )

    def refresh(self, refresh_token: str, resource: str | None = None) -> Json:
        return self._token(
            {
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
                **({} if resource is None else {"resource": resource}),
            }
        )

    def _token(self, form: Json) -> Json:
        form = {**form, "client_id": self.client_id}
        if self.secret is not None:
            form["client_secret"] = self.secret
        endpoint = self.metadata["token_endpoint"]
        headers = self.token_headers(endpoint) if self.token_headers else {}
        answer = httpx.post(endpoint, data=form, headers=headers, timeout=60)
        if answer.status_code != 200:
            raise LoginFailed(f"token endpoint: {answer.status_code} {answer.text}")
        return answer.json()
