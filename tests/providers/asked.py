"""What is tried on every provider that is asked about its tokens (RFC 7662)."""

from __future__ import annotations

import time

import httpx
from support.waiting import until

from .gateway import Json
from .servers.server import PATIENCE
from .stage import Running, Stage, check

CACHE_SECONDS = 2
FIRST_REQUESTS = 25


def remembered_shortly(configuration: Json) -> None:
    """For a gateway's `edit`: nobody wants to wait for the default's 30 seconds."""
    configuration["issuers"][0]["introspection"]["cache_seconds"] = CACHE_SECONDS


def about_everything(configuration: Json) -> None:
    """Asked about its JWTs too."""
    remembered_shortly(configuration)
    configuration["issuers"][0]["introspection"]["tokens"] = "all"


def steps(stage: Stage, running: Running, got: Json) -> None:
    """`got`: the token response of a login."""
    token: str = got["access_token"]
    good = running.gateway.judged(token)
    check(good == (200, None), f"a good token: {good}")
    refusals(stage, running, got)
    first_requests(stage, running, token)
    revocation(stage, running, got)


def refusals(stage: Stage, running: Running, got: Json) -> None:
    changed = f"{got['access_token'][:-5]}AAAAA"
    others = {"changed token": changed, "ID token": got.get("id_token")}
    others["refresh token"] = got.get("refresh_token")
    for name, token in others.items():
        if token is not None:
            status, reason = running.gateway.judged(token)
            check(status == 401, f"{name}: {status} {reason}")
            stage.saw(f"refused: {name}", f"401 `{reason}`")


def first_requests(stage: Stage, running: Running, token: str) -> None:
    """How long a request takes whose token has to be asked about."""
    times = []
    for number in range(FIRST_REQUESTS):
        # Of a JWT the answer is forgotten by then; an opaque token is another one.
        time.sleep(CACHE_SECONDS / FIRST_REQUESTS)
        made = token if token.count(".") == 2 else f"x{number:04}{token[5:]}"
        began = time.perf_counter()
        running.gateway.post(made)
        times.append(time.perf_counter() - began)
    times.sort()
    p50, p99 = times[len(times) // 2], times[-1]
    what = "a JWT" if token.count(".") == 2 else "an unknown token"
    stage.saw(f"a request with {what}", f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")


def revocation(stage: Stage, running: Running, got: Json) -> None:
    token = got["access_token"]
    # Known to the filter up to now.
    check(running.gateway.judged(token) == (200, None), "before the revocation")
    try:
        how = running.server.revoke(got)
    except httpx.HTTPStatusError as error:
        answer = error.response
        stage.saw("revocation", f"cannot be had: {answer.status_code} {answer.text[:120]}")
        return
    began = time.monotonic()
    # By each worker: those that were not asked before say so at once.
    until(
        lambda: all(running.gateway.post(token).status == 401 for _ in range(12)),
        "the refusal",
        timeout=PATIENCE,
    )
    took = time.monotonic() - began
    reason = running.gateway.judged(token)[1]
    stage.saw(how, f"401 `{reason}` after {took:.1f} s, cache_seconds {CACHE_SECONDS}")
