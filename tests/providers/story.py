"""What is tried on every provider, step by step; each step says what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from mcp.shared.auth import OAuthClientInformationFull
from support import tokens
from support.code_flow import LoginFailed
from support.mcp_client import LEGACY, MODERN, REDIRECT_URI, Login, connect
from support.waiting import until

from .servers.server import PATIENCE
from .stage import Running, Stage, check

Json = dict[str, Any]

SDK = f"Python SDK {importlib.metadata.version('mcp')}"


def discovery(stage: Stage, running: Running) -> None:
    until(running.gateway.usable_keys, "the keys", timeout=PATIENCE)
    keys = running.server.keys()["keys"]
    known = ", ".join(f"{key.get('alg') or key['kty']} {key.get('use', 'no use')}" for key in keys)
    stage.saw("key set", f"{known}; {running.gateway.usable_keys()} usable")
    places(stage, running)


def places(stage: Stage, running: Running) -> None:
    """Where the metadata are, and what they name."""
    stage.saw("metadata", ", ".join(running.server.metadata_places()))
    asked = running.server.metadata()
    has = {
        "registration": "registration_endpoint" in asked,
        "client ID metadata documents": asked.get("client_id_metadata_document_supported", False),
        "introspection": "introspection_endpoint" in asked,
        "iss in the redirect": asked.get("authorization_response_iss_parameter_supported", False),
    }
    stage.saw("the metadata name", ", ".join(name for name, there in has.items() if there) or "-")


def new_login(running: Running) -> Login:
    known = running.server.known_client(REDIRECT_URI)
    client = OAuthClientInformationFull.model_validate(known) if known else None
    return Login(client=client, browse=running.server.browse)


async def _session(running: Running, login: Login, era: str, refreshes: int) -> tuple[Json, int]:
    """Who the server behind the gateway sees, and how many refreshes there were."""
    async with connect(running.url, era, login) as connected:
        who = (await connected.client.call_tool("whoami", {})).structured_content
        for _ in range(refreshes):
            assert connected.auth is not None and login.tokens is not None
            before = login.tokens.access_token
            # Without a `jti`, two tokens of one second can be the same one.
            await asyncio.sleep(1 - time.time() % 1)
            connected.auth.context.token_expiry_time = time.time() - 1
            await connected.client.call_tool("echo", {"text": "again"})
            check(login.tokens.access_token != before, "the token is the old one")
        endpoint = urllib.parse.urlsplit(running.server.metadata()["token_endpoint"]).path
        asked = [one for one in connected.sent("POST", endpoint) if one.response.is_success]
        return who or {}, len(asked) - 1


def run_sdk(
    running: Running, login: Login, era: str = LEGACY, refreshes: int = 0
) -> tuple[Json, int]:
    work = _session(running, login, era, refreshes)
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


def login(stage: Stage, running: Running, *, refreshes: int = 2) -> None:
    """Both eras, each with a login of its own."""
    for era in (LEGACY, MODERN):
        one = new_login(running)
        who, refreshed = run_sdk(running, one, era, refreshes if era == LEGACY else 0)
        check(not who["authorization_reached_the_server"], who)
        check(len(one.authorization_urls) == 1, f"logins: {one.authorization_urls}")
        if era == LEGACY:
            check(refreshed == refreshes, f"{refreshed} refreshes")
            how = "registered itself" if running.server.registers else "known beforehand"
            seen = {name: value for name, value in who.items() if name.startswith("x-mcp-")}
            stage.saw("login", f"{SDK}: {how}, logged in; the MCP server sees {json.dumps(seen)}")
            stage.saw("refresh", f"{refreshes} times, one login in all")


def claims(token: str) -> Json:
    return json.loads(tokens.decode(token.split(".")[1]))


def header(token: str) -> Json:
    return json.loads(tokens.decode(token.split(".")[0]))


def accepted(stage: Stage, running: Running, token: str) -> None:
    status, reason = running.gateway.judged(token)
    check(status == 200, f"a good token: {status} {reason} {claims(token)}")
    shown = {**claims(token), **header(token)}
    facts = {
        name: shown.get(name) for name in ("typ", "alg", "aud", "scope", "scp", "client_id", "azp")
    }
    stage.saw(
        "access token", json.dumps({name: one for name, one in facts.items() if one is not None})
    )


def refused(
    stage: Stage, running: Running, attempts: Mapping[str, tuple[str | None, int, str]]
) -> None:
    """`attempts`: what it is -> the token, and the status and reason that it must get."""
    for name, (token, status, reason) in attempts.items():
        got = running.gateway.judged(token)
        check(got == (status, reason), f"{name}: {got}, not {(status, reason)}")
        stage.saw(f"refused: {name}", f"{status} `{reason}`")


def rotation(stage: Stage, running: Running, good: Callable[[], str]) -> None:
    """A new signing key while requests go on: none with a good token is refused."""
    old = good()
    old_kid = header(old).get("kid")
    check(running.gateway.judged(old)[0] == 200, "the token before the rotation")
    statuses: Counter[int] = Counter()
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.01):
            statuses[running.gateway.post(old).status] += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        running.server.rotate()
        fresh = until(
            lambda: one if header(one := good()).get("kid") != old_kid else None,
            "a token by the new key",
            timeout=PATIENCE,
        )
        began = time.monotonic()
        first = running.gateway.judged(fresh)
        took = time.monotonic() - began
        before = statuses.total()
        until(lambda: statuses.total() >= before + 20, "requests after it", timeout=PATIENCE)
    finally:
        done.set()
        worker.join()
    check(first == (200, None), f"the first token of the new key: {first}")
    check(set(statuses) == {200}, f"the old key's token meanwhile: {dict(statuses)}")
    stage.saw(
        "rotation",
        f"{statuses.total()} requests with the old key's token, all 200; "
        f"the new key's first token 200 after {took * 1000:.0f} ms",
    )


def left_out(
    stage: Stage, step: str, running: Running, expected: str, login: Login | None = None
) -> None:
    """A login where the page's step was left out: what a person sees, and the filter's reason."""
    one = login or new_login(running)
    before = len(running.gateway.envoy.access_log())
    one_browse = one.browse
    person: list[str] = []

    async def looking(url: str, redirect_uri: str, on_redirect: Any = None) -> dict[str, str]:
        try:
            answer = await one_browse(url, redirect_uri, on_redirect)
        except RuntimeError as error:
            person.append(" ".join(str(error).split())[:160])
            raise
        if "error" in answer:
            person.append(f"{answer['error']}: {answer.get('error_description', '')}"[:160])
            raise LoginFailed(person[-1])
        return answer

    one.browse = looking
    try:
        run_sdk(running, one, refreshes=1)
    except BaseException as error:
        said = _reason(error)
    else:
        said = "nothing: the login works"
    seen = person[-1] if person else said
    # Envoy writes its line within 20 ms, if a token got there at all.
    reason = running.gateway.last_reason(before)
    if reason is None and expected not in seen and one.tokens is not None:
        with contextlib.suppress(TimeoutError):
            reason = until(
                lambda: running.gateway.last_reason(before), "the refusal in Envoy's log"
            )
    if reason is None and seen == said and expected not in seen:
        seen += f"; the last answer: {running.gateway.envoy.access_log()[-1]}"
    shown = f"{seen} (reason `{reason}`)" if reason else seen
    check(expected in shown, f"left out: {step}: {shown}, not {expected}")
    stage.saw(f"left out: {step}", shown)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
