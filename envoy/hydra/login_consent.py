"""Login and consent pages for Ory Hydra: anybody signs in as anybody. For trying things out only.

Hydra leaves both pages to the deployment. This one also does what Hydra itself does not: it turns
the `resource` parameter (RFC 8707), which MCP clients send and Hydra ignores, into the audience of
the token. Without that the token's `aud` is empty, and no resource server may accept it. A login
application of your own needs the same few lines: see `granted_audience`.
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
# The resources that tokens may be made out to, separated by spaces.
RESOURCES = frozenset(os.environ.get("RESOURCES", "").split())

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


def hydra(method: str, path: str, challenge: str, body: dict[str, Any] | None = None) -> Any:
    kind = path.partition("/")[0]
    query = urllib.parse.urlencode({f"{kind}_challenge": challenge})
    request = urllib.request.Request(
        f"{HYDRA_ADMIN}/admin/oauth2/auth/requests/{path}?{query}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        fields = urllib.parse.parse_qs(query)
        if path == "/login":
            self.answer(lambda: self.login(only(fields, "login_challenge")))
        elif path == "/consent":
            self.answer(lambda: self.consent(only(fields, "consent_challenge")))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        if self.path != "/login":
            self.send_error(404)
            return
        length = int(self.headers.get("content-length", 0))
        fields = urllib.parse.parse_qs(self.rfile.read(min(length, 65536)).decode())
        self.answer(lambda: self.sign_in(only(fields, "challenge"), only(fields, "subject")))

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
        granted = {
            "grant_scope": request.get("requested_scope") or [],
            "grant_access_token_audience": granted_audience(request),
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
