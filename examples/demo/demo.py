"""The whole story on real parts: an unmodified MCP server becomes an OAuth 2.1 protected resource.

Starts an authorization server (oidc-provider), an MCP server (official Python SDK, without a line
about authorization) and Envoy with the filter between them and the world, on free loopback ports.
Then the official SDK's client logs in and works, and two attackers do not. `make demo` runs it;
with KEEP=1 everything stays up for a client of your own until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from mcp import Client
from narrator import Narrator, members, shortened
from support import http1, paths, tokens
from support.mcp_client import LEGACY, Exchange, Login, connect
from support.stack import Stack
from support.waiting import until

# How far clocks may differ in the demo: small, so that its expired token is soon refused.
CLOCK_SKEW_SECONDS = 1
WORKERS = 2

_LET_THROUGH = (
    "Signature, issuer, audience, lifetime and scope are good: the request goes on to the MCP "
    "server, without the token."
)


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # ignored by default where a shell runs it with &
    narrator = Narrator()
    started = time.monotonic()
    try:
        module = paths.wasm_module()
    except FileNotFoundError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mcp-auth-demo-") as directory:
        narrator.say(
            "Starting the authorization server, the MCP server, and Envoy with the filter ..."
        )
        # Lives for the whole demo; its end ends every process that it started.
        with Stack(
            Path(directory),
            module,
            concurrency=WORKERS,
            issuer={"clock_skew_seconds": CLOCK_SKEW_SECONDS},
        ) as stack:
            narrator.say(
                f"  MCP server            http://127.0.0.1:{stack.server.port}/mcp (not protected by itself)"
            )
            narrator.say(f"  authorization server  {stack.authorization.issuer}")
            narrator.say(f"  Envoy with the filter {stack.url}")
            narrator.say(f"  the filter's configuration: {json.dumps(stack.configuration)}")
            _show_warm_start(narrator, stack)
            try:
                asyncio.run(Demo(narrator, stack).run())
                narrator.heading("Done")
                narrator.say(f"{time.monotonic() - started:.1f} s, every process has been real.")
                if os.environ.get("KEEP", "") not in ("", "0"):
                    keep(narrator, stack)
            except KeyboardInterrupt:
                narrator.say("\nInterrupted.")
                return 130
    return 0


def keep(narrator: Narrator, stack: Stack) -> None:
    stack.authorization.set_token_lifetime(300)
    narrator.heading("Left running (KEEP=1): give this URL to your MCP client")
    print(f"\n    {stack.url}\n", flush=True)
    narrator.say("The login asks for nothing: you are alice. Ctrl-C ends everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        narrator.say("\nStopped.")


def _show_warm_start(narrator: Narrator, stack: Stack) -> None:
    """Keys are fetched at load, by one of the workers for all: no request waits for them."""

    def metric(name: str) -> int:
        return sum(stack.envoy.stats(f"wasmcustom.mcp_auth_{name};").values())

    until(lambda: metric("keys"), "the keys")
    narrator.say(
        f"  before the first request: {metric('keys')} keys known to {WORKERS} workers, "
        f"by {metric('key_fetches_total')} fetch (mcp_auth_keys, mcp_auth_key_fetches_total)"
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Demo:
    def __init__(self, narrator: Narrator, stack: Stack) -> None:
        self._narrator = narrator
        self._stack = stack
        self._login = Login(on_redirect=self._on_redirect)
        self._browsing = False
        self._stream_opened = asyncio.Event()

    async def run(self) -> None:
        narrator = self._narrator
        narrator.heading("A client of the 2026-07-28 era that knows nothing but the URL")
        async with connect(
            self._stack.url, "auto", self._login, on_exchange=self._on_exchange
        ) as connected:
            narrator.result([f"protocol version: {connected.client.protocol_version}"])
            narrator.why(_LET_THROUGH)
            await self._use(connected.client)

        narrator.heading("A client of the 2025-11-25 era, with the same token")
        async with connect(
            self._stack.url, LEGACY, self._login, on_exchange=self._on_exchange
        ) as connected:
            await self._stream_opened.wait()  # the client opens it beside its first calls
            await self._use(connected.client)

        narrator.heading("Two tokens that are no good")
        self._forged()
        await self._expired()

    async def _use(self, client: Client) -> None:
        listed = await client.list_tools()
        self._narrator.result(["tools: " + ", ".join(tool.name for tool in listed.tools)])
        called = await client.call_tool("whoami", {})
        identity = called.structured_content or {}
        self._narrator.result([f"{name}: {value}" for name, value in identity.items()])
        self._narrator.why(
            "What the MCP server saw: who is calling, in headers that come from the filter alone; "
            "the token stayed at the gateway."
        )

    # The client's traffic, as it happens

    async def _on_exchange(self, exchange: Exchange) -> None:
        request, response = exchange.request, exchange.response
        url, path = str(request.url), request.url.path
        if "event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
        match request.method, path:
            case "POST", "/mcp":
                self._tell_call(exchange)
            case "GET", "/mcp":
                self._narrator.step("The client opens the long-lived stream of its session")
                self._narrator.sent("GET /mcp (accept: text/event-stream)")
                self._narrator.came_back(response.status_code)
                self._narrator.why(
                    "Streams pass through unbuffered; the token was checked when it was opened."
                )
                self._stream_opened.set()
            case "DELETE", "/mcp":
                self._narrator.step("The client ends its session")
                self._narrator.sent("DELETE /mcp")
                self._narrator.came_back(response.status_code)
                self._narrator.why("Every method needs the token, not only POST.")
            case "GET", _ if "oauth-protected-resource" in path:
                self._tell_metadata(url, response.json())
            case "GET", _ if ".well-known" in path:
                self._tell_authorization_server(url, response.status_code, response.json())
            case "POST", "/reg":
                self._tell_registration(json.loads(request.content), response.json())
            case "POST", "/token":
                self._tell_token(request.content.decode(), response.json())
            case _:
                pass

    def _tell_call(self, exchange: Exchange) -> None:
        narrator, response = self._narrator, exchange.response
        message = json.loads(exchange.request.content)
        method = message.get("method", "")
        name = message.get("params", {}).get("name")
        call = f"{method} {name}" if name else method
        bearer = exchange.request.headers.get("authorization", "").removeprefix("Bearer ")
        if method.startswith("notifications/"):
            return
        if response.status_code == 401:
            narrator.step("The client calls, without a token")
            narrator.sent(f"POST {exchange.request.url}", [call])
            narrator.came_back(
                401, [f"www-authenticate: {response.headers['www-authenticate']}", response.text]
            )
            narrator.why(
                "The filter answers for the MCP server, which never saw the request. The challenge "
                "says where the metadata is and which scope to ask for; it names no error, because "
                "the client has not tried a token yet (RFC 6750, section 3.1)."
            )
            return
        narrator.step(f"The client calls {call}")
        narrator.sent("POST /mcp", [f"authorization: Bearer {shortened(bearer)}"])
        narrator.came_back(response.status_code)
        if method == "initialize":
            narrator.why(_LET_THROUGH)

    def _tell_metadata(self, url: str, document: dict[str, Any]) -> None:
        self._narrator.step("It reads the metadata of the protected resource")
        self._narrator.sent(f"GET {url}")
        self._narrator.came_back(
            200,
            members(
                document,
                "resource",
                "authorization_servers",
                "scopes_supported",
                "bearer_methods_supported",
            ),
        )
        self._narrator.why("RFC 9728: the filter serves it; the MCP server has no such page.")

    def _tell_authorization_server(self, url: str, status: int, document: dict[str, Any]) -> None:
        self._narrator.step("It finds the authorization server named there")
        self._narrator.sent(f"GET {url}")
        self._narrator.came_back(
            status,
            members(
                document,
                "issuer",
                "authorization_endpoint",
                "token_endpoint",
                "registration_endpoint",
            ),
        )
        self._narrator.why(
            "RFC 8414. From here to the token, client and server talk without Envoy."
        )

    def _tell_registration(self, sent: dict[str, Any], document: dict[str, Any]) -> None:
        self._narrator.step("It registers itself")
        self._narrator.sent("POST /reg", members(sent, "client_name", "redirect_uris"))
        self._narrator.came_back(201, members(document, "client_id"))
        self._narrator.why(
            "Dynamic client registration, RFC 7591: nobody had to enter it anywhere."
        )

    def _on_redirect(self, origin: str, target: str) -> None:
        if not self._browsing:
            self._browsing = True
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(origin).query))
            self._narrator.step("It sends the user's browser to log in")
            self._narrator.sent(
                f"GET {origin.split('?')[0]}",
                members(query, "scope", "resource", "code_challenge", "code_challenge_method"),
            )
            self._narrator.why(
                "Authorization code with PKCE; `resource` (RFC 8707) ties the token to this one "
                "MCP server. Login and consent are granted by script here, redirect by redirect:"
            )
        place = urllib.parse.urlsplit(target)
        names = ", ".join(dict(urllib.parse.parse_qsl(place.query)))
        self._narrator.came_back(303, where=f"to {place.path}{f' ({names})' if names else ''}")

    def _tell_token(self, sent: str, document: dict[str, Any]) -> None:
        query = dict(urllib.parse.parse_qsl(sent))
        claims = tokens.unverified_claims(document["access_token"])
        self._narrator.step("It trades the code for a token")
        self._narrator.sent("POST /token", members(query, "grant_type", "resource"))
        self._narrator.came_back(
            200,
            [
                f"access_token: {shortened(document['access_token'])}",
                "whose claims are:",
                *members(claims, "iss", "aud", "sub", "client_id", "scope"),
                f"exp: in {claims['exp'] - int(time.time())} s",
            ],
        )
        self._narrator.why(
            "`aud` is the MCP server's URL: anywhere else this token is worth nothing."
        )

    # Those who are not let in

    def _forged(self) -> None:
        assert self._login.tokens is not None
        header, payload, signature = self._login.tokens.access_token.split(".")
        claims = {**json.loads(tokens.decode(payload)), "sub": "root"}
        forged = f"{header}.{tokens.encode(json.dumps(claims).encode())}.{signature}"
        self._refused(
            "Somebody changes the token's subject to root",
            forged,
            "The payload no longer matches the signature. The filter checks it with the key that it "
            "fetched from the authorization server when it was loaded.",
        )

    async def _expired(self) -> None:
        self._stack.authorization.set_token_lifetime(1)
        old = self._stack.authorization.token(self._stack.url)
        expiry = tokens.unverified_claims(old)["exp"] + CLOCK_SKEW_SECONDS
        self._narrator.say("\n    (waiting for a token that lives for one second to expire)")
        await asyncio.sleep(max(0.0, expiry - time.time()) + 0.1)
        self._refused(
            "A client comes with a token that has expired",
            old,
            "401 and invalid_token make a client fetch a new token; it can do so without its user.",
        )

    def _refused(self, title: str, token: str, why: str) -> None:
        port = self._stack.envoy.port
        response = http1.request(
            port,
            "POST",
            "/mcp",
            [("authorization", f"Bearer {token}"), ("content-type", "application/json")],
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
            host=f"127.0.0.1:{port}",
        )
        self._narrator.step(title)
        self._narrator.sent("POST /mcp", [f"authorization: Bearer {shortened(token)}"])
        challenge = response.header("www-authenticate") or "(no www-authenticate)"
        self._narrator.came_back(
            response.status, [f"www-authenticate: {challenge}", response.body.decode()]
        )
        self._narrator.why(why)
        if response.status != 401:
            raise SystemExit(f"demo: expected 401, got {response.status}")


if __name__ == "__main__":
    sys.exit(main())
