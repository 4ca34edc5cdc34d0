"""canaille with its memory backend: `python canaille_app.py OPTIONS`.

OPTIONS is JSON: port, secret, redirect_uris, and `settings` for CANAILLE_OIDC. Prints one line once it listens. User alice,
password alice-alice.
"""

from __future__ import annotations

import json
import secrets
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend

options = json.loads(sys.argv[1])
host = f"127.0.0.1:{options['port']}"

app = create_app(
    {
        "SECRET_KEY": secrets.token_hex(32),
        "SERVER_NAME": host,
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {
            "DATABASE": "memory",
            "JAVASCRIPT": False,
            "HTMX": False,
            "SMTP": None,
            "CAPTCHA_ENABLED": False,
        },
        "CANAILLE_OIDC": options["settings"],
    }
)

with app.app_context():
    user = models.User(
        formatted_name="Alice Example",
        family_name="Example",
        user_name="alice",
        emails=["alice@example.com"],
        password="alice-alice",
    )
    Backend.instance.save(user)
    asking = models.Client(
        client_id="mcp-server",
        client_secret=options["secret"],
        client_name="the MCP server",
        grant_types=["client_credentials"],
        response_types=[],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(asking)
    desk = models.Client(
        client_id="desk",
        client_name="a client made by hand",
        redirect_uris=options["redirect_uris"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile"],
        token_endpoint_auth_method="none",
    )
    Backend.instance.save(desk)
    # Whoever asks about a token has to be in its audience.
    for client, audience in ((asking, [asking]), (desk, [desk, asking])):
        client.audience = audience
        Backend.instance.save(client)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


with make_server("127.0.0.1", options["port"], app, Server, Quiet) as server:
    print(json.dumps({"port": options["port"]}), flush=True)
    server.serve_forever()
