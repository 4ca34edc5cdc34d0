"""Login, consent and registration for Ory Hydra: anybody signs in as anybody. For trying things out.

Hydra leaves login and consent to the deployment. This application also does what MCP clients need
and Hydra itself does not do; an application of your own needs the same few lines:

- `resource` (RFC 8707), which clients send and Hydra ignores, becomes the audience of the token
  (`granted_audience`). Without that `aud` is empty, and no resource server may accept the token.
- The audience is put on the client's list (`allow_audience`), for Hydra refuses to refresh a token
  whose audience is not on it.
- Registration (RFC 7591) goes through `register`: Hydra answers with empty and null members, such as
  `"client_uri": ""`, which the official TypeScript SDK refuses.
- Only SCOPES are granted, whatever a client has registered for.
"""

from __future__ import annotations

import html
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HYDRA_ADMIN = os.environ.get("HYDRA_ADMIN_URL", "http://hydra:4445")
HYDRA_PUBLIC = os.environ.get("HYDRA_PUBLIC_URL", "http://hydra:4444")
# The resources that tokens may be made out to, and what may be granted, separated by spaces.
RESOURCES = frozenset(os.environ.get("RESOURCES", "").split())
SCOPES = frozenset(os.environ.get("SCOPES", "openid offline_access mcp").split())
# Origins of clients that run in a browser and register there.
ORIGINS = frozenset(os.environ.get("ORIGINS", "http://localhost:6274").split())
MAX_BODY = 64 * 1024

PAGE = """<!doctype html><title>Sign in</title>
<form method="post" action="/login">
<input type="hidden" name="challenge" value="{challenge}">
<label>Sign in as <input name="subject" value="alice" autofocus required maxlength="64"></label>
<button>Sign in</button>
</form>
"""


def granted_audience(request: dict[str, Any]) -> list[str]:
    """The audience for a consent request: what was asked for, of what this server knows.

    Hydra puts whatever is granted here into the token unchecked, so this is where it is bounded.
    """
    query = urllib.parse.urlsplit(request.get("request_url", "")).query
    asked = urllib.parse.parse_qs(query).get("resource", [])
    asked += request.get("requested_access_token_audience") or []
    return sorted(RESOURCES.intersection(asked))


def call(method: str, url: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def hydra(method: str, path: str, challenge: str, body: dict[str, Any] | None = None) -> Any:
    kind = path.partition("/")[0]
    query = urllib.parse.urlencode({f"{kind}_challenge": challenge})
    return call(method, f"{HYDRA_ADMIN}/admin/oauth2/auth/requests/{path}?{query}", body)


def allow_audience(client: dict[str, Any], audience: list[str]) -> None:
    """Puts the audience on the client's list, if it is not there yet."""
    missing = [one for one in audience if one not in (client.get("audience") or [])]
    if missing:
        name = urllib.parse.quote(client["client_id"], safe="")
        patch = [{"op": "replace", "path": "/audience", "value": audience}]
        call("PATCH", f"{HYDRA_ADMIN}/admin/clients/{name}", patch)


def with_refresh(asked: dict[str, Any]) -> dict[str, Any]:
    """A registration that has the scope without which Hydra refreshes nothing."""
    scope = asked.get("scope")
    if scope and "refresh_token" in (asked.get("grant_types") or []):
        asked["scope"] = " ".join(dict.fromkeys([*scope.split(), "offline_access"]))
    return asked


def without_empty(registered: dict[str, Any]) -> dict[str, Any]:
    """A registration response without members that say nothing."""
    return {name: value for name, value in registered.items() if value not in (None, "", [], {})}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        fields = urllib.parse.parse_qs(query)
        if path == "/health":
            self.json(200, {"status": "ok"})
        elif path == "/login":
            self.answer(lambda: self.login(only(fields, "login_challenge")))
        elif path == "/consent":
            self.answer(lambda: self.consent(only(fields, "consent_challenge")))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        if self.path not in ("/login", "/register"):
            self.send_error(404)
            return
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(min(length, MAX_BODY))
        if self.path == "/register":
            self.register(body)
            return
        fields = urllib.parse.parse_qs(body.decode())
        self.answer(lambda: self.sign_in(only(fields, "challenge"), only(fields, "subject")))

    def do_OPTIONS(self) -> None:
        """A preflight of a registration."""
        self.send_response(204)
        self.allow_origin()
        self.send_header("access-control-allow-methods", "POST")
        self.send_header("access-control-allow-headers", "content-type, mcp-protocol-version")
        self.send_header("content-length", "0")
        self.end_headers()

    def register(self, body: bytes) -> None:
        """Hands a registration to Hydra, and a clean answer back (RFC 7591)."""
        try:
            asked = with_refresh(json.loads(body))
            answer = without_empty(call("POST", f"{HYDRA_PUBLIC}/oauth2/register", asked))
            status = 201
        except (TypeError, ValueError, AttributeError):
            status, answer = 400, {"error": "invalid_client_metadata"}
        except urllib.error.HTTPError as error:
            status, answer = error.code, {"error": "invalid_client_metadata"}
        except OSError:
            status, answer = 503, {"error": "temporarily_unavailable"}
        self.json(status, answer)

    def allow_origin(self) -> None:
        origin = self.headers.get("origin")
        if origin in ORIGINS:
            self.send_header("access-control-allow-origin", origin)
            self.send_header("vary", "Origin")

    def json(self, status: int, answer: dict[str, Any]) -> None:
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("cache-control", "no-store")
        self.send_header("content-length", str(len(text)))
        self.allow_origin()
        self.end_headers()
        self.wfile.write(text)

    def answer(self, action: Any) -> None:
        try:
            action()
        except (KeyError, ValueError):
            self.send_error(400)
        except urllib.error.HTTPError as error:
            # An old or used challenge: the browser has to start again.
            self.send_error(502, f"Hydra answered {error.code}")
        except OSError:
            self.send_error(502, "Hydra does not answer")

    def login(self, challenge: str) -> None:
        request = hydra("GET", "login", challenge)
        if request["skip"]:
            self.sign_in(challenge, request["subject"])
            return
        page = PAGE.format(challenge=html.escape(challenge, quote=True)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("cache-control", "no-store")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def sign_in(self, challenge: str, subject: str) -> None:
        accepted = hydra("PUT", "login/accept", challenge, {"subject": subject, "remember": False})
        self.redirect(accepted["redirect_to"])

    def consent(self, challenge: str) -> None:
        """Grants what is asked for: a real deployment asks its user here."""
        request = hydra("GET", "consent", challenge)
        audience = granted_audience(request)
        allow_audience(request["client"], audience)
        scopes = SCOPES.intersection(request.get("requested_scope") or [])
        # Hydra gives a refresh token for this scope alone, and not every SDK asks for it.
        if "offline_access" in (request["client"].get("scope") or "").split():
            scopes |= SCOPES & {"offline_access"}
        granted = {
            "grant_scope": sorted(scopes),
            "grant_access_token_audience": audience,
        }
        self.redirect(hydra("PUT", "consent/accept", challenge, granted)["redirect_to"])

    def redirect(self, location: str) -> None:
        self.send_response(303)
        self.send_header("location", location)
        self.send_header("cache-control", "no-store")
        self.send_header("content-length", "0")
        self.end_headers()


def only(fields: dict[str, list[str]], name: str) -> str:
    """The one value of a form field."""
    (value,) = fields[name]
    return value


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "3100"))
    ThreadingHTTPServer(("", port), Handler).serve_forever()
