"""Starting the real authorization server, and logging in to it the way a browser would."""

from __future__ import annotations

import html
import html.parser
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
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
        self.port: int = ready["port"]

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
    authorization_url: str,
    redirect_uri: str,
    on_redirect: Callable[[str, str], None] | None = None,
    answers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Logs in as a person would, until the client's own URI; that URI's query.

    Follows redirects, and submits each form with what its page fills in, or with `answers`, by the
    names of its fields.
    """
    async with httpx.AsyncClient(timeout=60) as browser:  # keeps the cookies of the login
        request = browser.build_request("GET", authorization_url)
        for _ in range(16):
            response = await browser.send(request)
            for cookie in browser.cookies.jar:
                cookie.secure = False  # Browsers send such cookies to loopback without TLS too.
            url = str(response.url)
            if response.has_redirect_location:
                target = urllib.parse.urljoin(url, response.headers["location"])
                if on_redirect is not None:
                    on_redirect(url, target)
                if target.startswith(redirect_uri):
                    return callback_query(target)
                request = browser.build_request("GET", target)
                continue
            form = Form.of(response.text)
            if form is None:
                raise RuntimeError(
                    f"login stopped at {target_of(url)}: {response.status_code} {said(response.text)}"
                )
            fields = {name: (answers or {}).get(name, value) for name, value in form.fields.items()}
            target = urllib.parse.urljoin(url, form.action)
            request = browser.build_request("POST", target, data=fields)
    raise RuntimeError("login went in circles")


class Form(html.parser.HTMLParser):
    """The first form of a page: where it goes, and its fields with what they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._open = False
        self._pressed = False

    @classmethod
    def of(cls, page: str) -> Form | None:
        form = cls()
        form.feed(page)
        return form if form.action is not None else None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action, self._open = values.get("action", ""), True
        elif tag in ("input", "button") and self._open and values.get("name"):
            kind = values.get("type", "submit" if tag == "button" else "text")
            unchecked = kind in ("checkbox", "radio") and "checked" not in values
            # A person presses one button: the first.
            pressed_another = kind == "submit" and self._pressed
            self._pressed |= kind == "submit"
            if not unchecked and not pressed_another:
                self.fields.setdefault(values["name"], values.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


def said(page: str) -> str:
    """The words of a page."""
    text = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    return html.unescape(" ".join(text.split()))


def target_of(url: str) -> str:
    """A URL without its query, which has what nobody needs in a message."""
    return url.partition("?")[0]


def callback_query(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
