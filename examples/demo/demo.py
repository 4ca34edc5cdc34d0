"""The whole story on real parts: an unmodified MCP server becomes an OAuth 2.1 protected resource.

Starts an authorization server (oidc-provider), an MCP server (official Python SDK, without a line
about authorization) and Envoy with the filter between them and the world, on free loopback ports.
Then the official SDK's client logs in and works, and others do not get in. `make demo` runs it;
with KEEP=1 everything stays up for a client of your own until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from mcp import Client
from narrator import Narrator
from support import http1, paths, tokens
from support.mcp_client import LEGACY, Exchange, Login, connect
from support.stack import Stack
from support.waiting import until

# How far clocks may differ in the demo: small, so that its expired token is soon refused.
CLOCK_SKEW_SECONDS = 1
WORKERS = 2
KEEP = os.environ.get("KEEP", "") not in ("", "0")

NEXT = [
    ("make demo KEEP=1", "the same, and left running for a client of your own"),
    ("cargo install --path .", "then `mcp-auth probe URL`: which clients can log in to your server"),
    ("envoy/envoy.yaml", "a complete Envoy configuration to start from"),
    ("docs/operations.md", "first observe, then enforce"),
    ("docs/troubleshooting.md", "the client says X: where to look, what to do"),
]


class Unexpected(RuntimeError):
    """The demo did not go as it should."""


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # ignored by default where a shell runs it with &
    try:
        return tell(Narrator())
    except KeyboardInterrupt:
        print("\ndemo: interrupted; every process has been stopped", file=sys.stderr)
        return 130
    except Exception as error:
        print(f"\ndemo: {_sentence(error)}", file=sys.stderr)
        if os.environ.get("DEBUG"):
            raise
        print("demo: DEBUG=1 shows where", file=sys.stderr)
        return 1


def tell(narrator: Narrator) -> int:
    started = time.monotonic()
    module = paths.wasm_module()
    narrator.heading("An MCP server that knows nothing of OAuth becomes a protected resource")
    with (
        tempfile.TemporaryDirectory(prefix="mcp-auth-demo-") as directory,
        # Lives for the whole demo; its end ends every process that it started.
        Stack(
            Path(directory),
            module,
            concurrency=WORKERS,
            issuer={"clock_skew_seconds": CLOCK_SKEW_SECONDS},
        ) as stack,
    ):
        narrator.row(
            "MCP server", f"http://127.0.0.1:{stack.server.port}/mcp", "not a line of OAuth in it"
        )
        narrator.row("authorization server", stack.authorization.issuer)
        narrator.row("Envoy with the filter", stack.url, _warm_start(stack))
        asyncio.run(Demo(narrator, stack).run())
        if KEEP:
            keep(narrator, stack)
    if not KEEP:
        seconds = time.monotonic() - started
        narrator.say(f"\n{seconds:.1f} s; every process was real, and none is left behind.")
    narrator.heading("Try next")
    for what, why in NEXT[KEEP:]:
        narrator.row(f"{what:<24}", "", why)
    return 0


def keep(narrator: Narrator, stack: Stack) -> None:
    stack.authorization.set_token_lifetime(300)
    narrator.heading("Left running (KEEP=1): give this URL to your MCP client")
    narrator.row("", stack.url)
    narrator.say("  The login asks for nothing: you are alice. Ctrl-C ends everything.")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    narrator.say("\nStopping ...")


def _warm_start(stack: Stack) -> str:
    """Keys are fetched at load, by one of the workers for all: no request waits for them."""

    def metric(name: str) -> int:
        return sum(stack.envoy.stats(f"wasmcustom.mcp_auth_{name};").values())

    until(lambda: metric("keys"), "the authorization server's keys")
    return f"{WORKERS} workers; {metric('keys')} key, by {metric('key_fetches_total')} fetch"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _sentence(error: BaseException) -> str:
    """The first cause, in its own words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error) or type(error).__name__
    known = (FileNotFoundError, TimeoutError, Unexpected, RuntimeError)
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}"


class Demo:
    def __init__(self, narrator: Narrator, stack: Stack) -> None:
        self._narrator = narrator
        self._stack = stack
        self._login = Login(on_redirect=self._on_redirect)
        self._redirects = 0
        self._stream_opened = asyncio.Event()

    async def run(self) -> None:
        narrator = self._narrator
        narrator.heading("A client that knows nothing but the URL logs in, and works (2026-07-28)")
        async with connect(
            self._stack.url, "auto", self._login, on_exchange=self._on_exchange
        ) as connected:
            await self._use(connected.client)

        narrator.heading("The same token, in a session of 2025-11-25")
        async with connect(
            self._stack.url, LEGACY, self._login, on_exchange=self._on_exchange
        ) as connected:
            await self._stream_opened.wait()  # the client opens it beside its first calls
            await self._use(connected.client)

        narrator.heading("Who does not get in")
        self._forged()
        self._for_another_server()
        self._around_the_filter()
        await self._expired()

    async def _use(self, client: Client) -> None:
        listed = await client.list_tools()
        self._narrator.step(200, "  tools/list", ", ".join(tool.name for tool in listed.tools))
        called = await client.call_tool("whoami", {})
        seen = called.structured_content or {}
        if seen.get("x-mcp-sub") != "alice" or seen.get("authorization_reached_the_server"):
            raise Unexpected(f"the MCP server saw {seen}")
        self._narrator.step(
            200,
            "  tools/call whoami",
            f"what the server saw: x-mcp-sub: {seen['x-mcp-sub']}, x-mcp-scope: "
            f"{seen['x-mcp-scope']}; and not the token",
        )

    # The client's traffic, as it happens

    async def _on_exchange(self, exchange: Exchange) -> None:
        request, response = exchange.request, exchange.response
        path, status, tell = request.url.path, response.status_code, self._narrator.step
        if "event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
        match request.method, path:
            case "POST", "/mcp":
                self._tell_call(exchange)
            case "GET", "/mcp":
                tell(status, "GET /mcp", "the session's event stream, passed through unbuffered")
                self._stream_opened.set()
            case "DELETE", "/mcp":
                tell(status, "DELETE /mcp", "every method needs the token, not only POST")
            case "GET", _ if "oauth-protected-resource" in path:
                tell(status, f"GET {path}", "served by the filter: whose tokens (RFC 9728)")
            case "GET", _ if ".well-known" in path:
                tell(status, f"GET {path}", "of the authorization server named there (RFC 8414)")
            case "POST", "/reg":
                tell(status, "POST /reg", "the client registers itself (RFC 7591)")
            case "POST", "/token":
                claims = tokens.unverified_claims(response.json()["access_token"])
                note = f"a token for {claims['aud']} alone, for {claims['exp'] - int(time.time())} s"
                tell(status, "POST /token", note)
            case _:
                pass

    def _tell_call(self, exchange: Exchange) -> None:
        response = exchange.response
        method = json.loads(exchange.request.content).get("method", "")
        if response.status_code == 401:
            self._narrator.step(401, f"POST /mcp {method}", "no token; where to get one:")
            self._narrator.header(f"WWW-Authenticate: {response.headers['www-authenticate']}")
        elif method in ("server/discover", "initialize"):
            note = "signature, issuer, audience, lifetime and scope are good"
            self._narrator.step(response.status_code, f"POST /mcp {method}", note)
        elif response.status_code >= 400:
            raise Unexpected(f"{method} was answered with {response.status_code}")

    def _on_redirect(self, origin: str, target: str) -> None:
        self._redirects += 1
        if "code" in urllib.parse.parse_qs(urllib.parse.urlsplit(target).query):
            self._narrator.step(
                303,
                "GET /auth, in the browser",
                f"code with PKCE and resource=; alice says yes ({self._redirects} redirects)",
            )

    # Those who are not let in

    def _forged(self) -> None:
        assert self._login.tokens is not None
        header, payload, signature = self._login.tokens.access_token.split(".")
        claims = {**json.loads(tokens.decode(payload)), "sub": "root"}
        forged = f"{header}.{tokens.encode(json.dumps(claims).encode())}.{signature}"
        self._refused(401, "a token changed to say root", forged)

    def _for_another_server(self) -> None:
        token = self._stack.authorization.token(self._stack.other_resource)
        self._refused(401, "a good token for another server", token)

    def _around_the_filter(self) -> None:
        self._refused(400, "POST //x/..%2fmcp, no token", None, "//x/..%2fmcp")

    async def _expired(self) -> None:
        self._stack.authorization.set_token_lifetime(1)
        old = self._stack.authorization.token(self._stack.url)
        expiry = tokens.unverified_claims(old)["exp"] + CLOCK_SKEW_SECONDS
        await asyncio.sleep(max(0.0, expiry - time.time()) + 0.1)
        self._refused(401, "a token that has expired", old)

    def _refused(self, status: int, title: str, token: str | None, path: str = "/mcp") -> None:
        port = self._stack.envoy.port
        response = http1.request(
            port,
            "POST",
            path,
            [
                *([("authorization", f"Bearer {token}")] if token else []),
                ("content-type", "application/json"),
            ],
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
            host=f"127.0.0.1:{port}",
        )
        if response.status != status:
            raise Unexpected(f"{title}: expected {status}, got {response.status}")
        self._narrator.step(response.status, title, response.json()["error_description"])


if __name__ == "__main__":
    sys.exit(main())
