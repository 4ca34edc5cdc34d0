"""An authorization server that a test starts, as any of them looks to a test."""

from __future__ import annotations

import dataclasses
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import httpx
from support.authorization import browse
from support.code_flow import CodeFlow
from support.waiting import until

Json = dict[str, Any]

# A machine that does much else at once must not fail a start.
PATIENCE = 900.0

WELL_KNOWN = (
    "/.well-known/oauth-authorization-server{path}",
    "/.well-known/openid-configuration{path}",
    "{path}/.well-known/openid-configuration",
)
"""Where metadata may be (RFC 8414, OpenID Connect Discovery), in the filter's order."""


@dataclass(frozen=True)
class Introspection:
    """How a resource server asks about a token (RFC 7662)."""

    endpoint: str
    client_id: str | None = None
    secret: str | None = None
    """Without one, nothing is asked for: the port is the protection."""

    @property
    def port(self) -> int:
        return urllib.parse.urlsplit(self.endpoint).port or 80

    def ask(self, token: str) -> Json:
        credentials = (
            httpx.BasicAuth(self.client_id or "", self.secret) if self.secret is not None else None
        )
        answer = httpx.post(self.endpoint, data={"token": token}, auth=credentials, timeout=60)
        return answer.raise_for_status().json()


class Server(ABC):
    """Runs until `stop`. Subclasses set `issuer` once they listen."""

    title: ClassVar[str]
    page: ClassVar[str]
    """Its page in docs/providers, which the server is configured by."""
    scope: ClassVar[str]
    """The scope that the page's resource asks for."""
    registers: ClassVar[bool] = True
    """Whether clients register themselves (RFC 7591)."""
    answers: ClassVar[Mapping[str, str]] = {}
    """What a person types into the fields of its forms."""

    issuer: str

    def __init__(self) -> None:
        self._stack = ExitStack()

    @property
    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def rotate(self) -> None:
        """A new signing key, that signs from now on; the old one stays in the key set."""

    @property
    def introspection(self) -> Introspection | None:
        return None

    def revoke(self, got: Json) -> str:
        """Ends the access token of a token response; says how.

        As its client does when the person logs out (RFC 7009), unless a server has another way.
        """
        asked = self.introspection
        assert asked is not None
        token = got["access_token"]
        client = asked.ask(token).get("client_id", "")
        form = {"token": token, "token_type_hint": "access_token", "client_id": client}
        endpoint = self.metadata()["revocation_endpoint"]
        httpx.post(endpoint, data=form, timeout=60).raise_for_status()
        return "revoked by its client"

    @property
    def port(self) -> int:
        return urllib.parse.urlsplit(self.issuer).port or 80

    def metadata_places(self) -> list[str]:
        """The paths, of those where the filter looks, that have the metadata of this issuer."""
        origin, path = _split(self.issuer)
        return [
            place
            for place in dict.fromkeys(one.format(path=path) for one in WELL_KNOWN)
            if (found := _get_json(origin + place)) and found.get("issuer") == self.issuer
        ]

    def metadata(self) -> Json:
        places = self.metadata_places()
        assert places, f"{self.title} has no metadata of {self.issuer}"
        found = _get_json(_split(self.issuer)[0] + places[0])
        assert found is not None
        return found

    def keys(self) -> Json:
        return httpx.get(self.metadata()["jwks_uri"], timeout=60).raise_for_status().json()

    async def browse(
        self,
        authorization_url: str,
        redirect_uri: str,
        on_redirect: Callable[[str, str], None] | None = None,
    ) -> dict[str, str]:
        """Logs in as a person would, until the client's own URI; that URI's query."""
        return await browse(authorization_url, redirect_uri, on_redirect, self.answers)

    def new_client(self, scope: str) -> CodeFlow:
        """A client that this server knows, and that may ask for the scope."""
        return CodeFlow.registered(self.metadata(), scope=scope)

    def login(self, resource: str | None, scope: str | None = None) -> Json:
        """The token response of a login by a client made for it."""
        asked = self.scope if scope is None else scope
        client = dataclasses.replace(self.new_client(asked), browse=self.browse)
        return client.login(resource=resource, scope=asked)

    def known_client(self, redirect_uri: str) -> Json | None:
        """What a client that does not register itself has to be told; None if it does."""
        return None

    def log(self) -> str:
        return ""

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_for(url: str, what: str, *, check: Any = lambda: None) -> httpx.Response:
    """The first answer of 200; `check` raises where waiting has no more sense."""

    def answer() -> httpx.Response | None:
        check()
        try:
            got = httpx.get(url, timeout=60)
        except httpx.HTTPError:
            return None
        return got if got.status_code == 200 else None

    return until(answer, what, timeout=PATIENCE, interval=0.1)


def _split(issuer: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def _get_json(url: str) -> Json | None:
    answer = httpx.get(url, timeout=60)
    if answer.status_code != 200 or "json" not in answer.headers.get("content-type", ""):
        return None
    return answer.json()
