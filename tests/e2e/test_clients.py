"""The official SDKs as clients, in every protocol era that they speak.

What is observed here is the table in docs/sdks.md: each run is compared with `ROWS`, and the page with what `ROWS` says.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import http1, paths
from support.broken_challenges import ALL, CHANGES, FAILS, OUTCOMES, READ, WORKS
from support.challenges import parse_challenge
from support.clients import (
    PYTHON,
    RUST,
    SDKS,
    TYPESCRIPT,
    TYPESCRIPT_1,
    Client,
    ClientFailed,
    Sdk,
)
from support.mcp_client import REDIRECT_URI
from support.relay import Exchange, Relay
from support.stack import Stack
from support.waiting import until

ALONE = "yes"
BEGINS_AGAIN = "yes [1]"
"""The SDK gives the call up, and the application makes it once more after the login."""


@dataclass(frozen=True)
class Row:
    """The row of one SDK in docs/sdks.md."""

    sdk: Sdk
    login: str
    step_up: str
    expiry: str
    relogin: str

    def __str__(self) -> str:
        name = f"{self.sdk.title}, `{self.sdk.package}` {self.sdk.version()}"
        cells = [name, ", ".join(self.sdk.eras), "yes", self.login, "yes"]
        return f"| {' | '.join([*cells, self.step_up, self.expiry, self.relogin])} |"


IN_TIME = "refreshes in time"
ON_THE_401 = "refreshes on the 401"
LOGS_IN = "logs in on the 401"

ROWS = [
    Row(PYTHON, ALONE, ALONE, f"{IN_TIME} [3], else {LOGS_IN}", ALONE),
    Row(TYPESCRIPT, BEGINS_AGAIN, BEGINS_AGAIN, ON_THE_401, BEGINS_AGAIN),
    Row(
        TYPESCRIPT_1,
        BEGINS_AGAIN,
        f"only without a refresh token [2]: {BEGINS_AGAIN}",
        ON_THE_401,
        BEGINS_AGAIN,
    ),
    Row(RUST, BEGINS_AGAIN, BEGINS_AGAIN, f"{IN_TIME} [3], else {ON_THE_401}", BEGINS_AGAIN),
]

EVERYWHERE = pytest.mark.parametrize(
    ("row", "era"),
    [pytest.param(row, era, id=f"{row.sdk.name}-{era}") for row in ROWS for era in row.sdk.eras],
)


def _known_client(client_id: str, *, refreshes: bool) -> dict[str, Any]:
    grant_types = ["authorization_code", "refresh_token"]
    return {
        "client_id": client_id,
        "redirect_uris": [REDIRECT_URI],
        "grant_types": grant_types if refreshes else grant_types[:1],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }


# The authorization server holds clients that register themselves to the scopes of their first
# challenge: who steps up is known beforehand.
WITH_REFRESH, WITHOUT_REFRESH = "desk", "kiosk"

TOKEN_SECONDS = 3
"""As short as a slow machine allows: a login and two requests must fit in."""


@dataclass(frozen=True)
class Place:
    stack: Stack
    relay: Relay

    def client(self, directory: Path, sdk: Sdk, era: str, known_as: str | None = None) -> Client:
        known = None if known_as is None else (known_as, self.stack.authorization.issuer)
        return Client(directory, sdk, self.stack.url, era, known_as=known)

    def let_token_expire(self, issued_before: float) -> None:
        """Until the filter refuses the token used last, and its owner knows it to have expired."""
        authorization = self.relay.exchanges[-1].authorization
        assert authorization is not None

        def expired() -> bool:
            answer = http1.request(
                self.stack.envoy.port, "GET", "/mcp", [("authorization", authorization)]
            )
            return answer.status == 401 and time.monotonic() > issued_before + TOKEN_SECONDS

        until(expired, "the token to expire", interval=0.1)

    def grants(self) -> list[str]:
        """The requests of clients to the token endpoint, and whether they got a token."""
        return [
            one.removeprefix("POST /token ")
            for one in self.stack.authorization.served()
            if one.startswith("POST /token ")
        ]


@pytest.fixture(scope="module")
def running(wasm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        Relay() as relay,
        Stack(
            tmp_path_factory.mktemp("stack"),
            wasm,
            concurrency=2,
            public_port=relay.port,
            issuer={"clock_skew_seconds": 0},
            resource={
                "scopes_supported": ["mcp:read", "mcp:write"],
                "operations": [
                    {"method": "tools/call", "name": "count", "scopes": ["mcp:admin"]},
                    {"method": "tools/call", "name": "shell", "deny": True},
                ],
            },
            authorization={
                "clients": [
                    _known_client(WITH_REFRESH, refreshes=True),
                    _known_client(WITHOUT_REFRESH, refreshes=False),
                ]
            },
        ) as stack,
    ):
        relay.forward_to = stack.envoy.port
        yield Place(stack, relay)


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    running.relay.exchanges.clear()
    yield running
    running.relay.edit = lambda status, challenge: [challenge]
    running.stack.authorization.set_token_lifetime(300)


def scopes_asked_for(client: Client) -> list[set[str]]:
    """For each login. `offline_access` is between client and authorization server."""
    queries = [urllib.parse.urlsplit(one).query for one in client.logins]
    return [
        set(urllib.parse.parse_qs(one)["scope"][0].split()) - {"offline_access"} for one in queries
    ]


def log_in(client: Client) -> None:
    client.connect()
    # The Python SDK's first request of the newest era is the first call.
    client.call("echo", {"text": "hello"})


def count(client: Client) -> None:
    """The one tool that needs `mcp:admin`."""
    client.call("count", {"to": 1, "milliseconds_apart": 1})


def how(client: Client, before: int = 0) -> str:
    return BEGINS_AGAIN if client.begun_again > before else ALONE


@EVERYWHERE
def test_discovery_login_and_call(place: Place, tmp_path: Path, row: Row, era: str) -> None:
    already = len(place.stack.authorization.served())
    with place.client(tmp_path, row.sdk, era) as client:
        assert client.connect() == era
        who = client.call("whoami")
    assert who["x-mcp-sub"] == "alice"
    assert who["x-mcp-scope"] == "mcp:read"
    assert who["authorization_reached_the_server"] is False
    assert how(client) == row.login

    exchanges = place.relay.exchanges
    assert [one.summary for one in exchanges[:3]] == [
        "POST /mcp 401",
        "GET /.well-known/oauth-protected-resource/mcp 200",
        "POST /mcp 200",
    ]
    assert exchanges[0].challenge is not None
    assert parse_challenge(exchanges[0].challenge) == (
        "Bearer",
        {"resource_metadata": place.stack.metadata_url, "scope": "mcp:read"},
    )
    assert all(one.status in (200, 202) for one in exchanges[2:])

    served = place.stack.authorization.served()[already:]
    # The filter fetches keys and metadata too.
    found = [one for one in served if one.startswith("POST /")]
    assert found == ["POST /reg 201", "POST /token 200 authorization_code"]
    [login] = client.logins
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(login).query)
    assert asked["resource"] == [place.stack.url]
    assert asked["code_challenge_method"] == ["S256"]
    assert scopes_asked_for(client) == [{"mcp:read"}]


@EVERYWHERE
def test_step_up(place: Place, tmp_path: Path, row: Row, era: str) -> None:
    """One 403, one more login for what the challenge names, and the call goes through."""
    seen = {}
    for known_as in (WITH_REFRESH, WITHOUT_REFRESH):
        place.relay.exchanges.clear()
        with place.client(tmp_path / known_as, row.sdk, era, known_as) as client:
            log_in(client)
            begun_again = client.begun_again
            try:
                count(client)
            except ClientFailed as failed:
                seen[known_as] = str(failed)
                assert scopes_asked_for(client) == [{"mcp:read"}]
                continue
            seen[known_as] = how(client, begun_again)
            scopes = client.call("whoami")["x-mcp-scope"]
        assert set(scopes.split()) == {"mcp:read", "mcp:admin"}
        assert scopes_asked_for(client) == [{"mcp:read"}, {"mcp:read", "mcp:admin"}]
        assert [one.status for one in place.relay.exchanges].count(403) == 1
    if row.sdk is TYPESCRIPT_1:
        # It refreshes instead of asking for more, and gets what it had.
        assert "403 after trying upscoping" in seen[WITH_REFRESH]
        assert row.step_up == f"only without a refresh token [2]: {seen[WITHOUT_REFRESH]}"
    else:
        assert set(seen.values()) == {row.step_up}


@EVERYWHERE
def test_what_is_denied_is_told_and_the_session_goes_on(
    place: Place, tmp_path: Path, row: Row, era: str
) -> None:
    with place.client(tmp_path, row.sdk, era) as client:
        log_in(client)
        already = len(client.logins)
        with pytest.raises(ClientFailed, match=r"The operation is not allowed here: .*shell"):
            client.call("shell")
        assert client.call("whoami")["x-mcp-sub"] == "alice"
        assert len(client.logins) == already


def log_in_briefly(place: Place, client: Client, *, told: bool) -> None:
    """With a token that expires soon; `told`: whether the client learns when."""
    place.stack.authorization.set_token_lifetime(TOKEN_SECONDS, told=told)
    log_in(client)
    place.stack.authorization.set_token_lifetime(300)


def call_again(place: Place, client: Client) -> tuple[list[str], list[Exchange]]:
    """One more call: the grants that the client needed for it, and the 401s that it got."""
    place.relay.exchanges.clear()
    already = len(place.grants())
    client.call("echo", {"text": "hello again"})
    refused = [one for one in place.relay.exchanges if one.status == 401]
    return place.grants()[already:], refused


@EVERYWHERE
def test_expiry(place: Place, tmp_path: Path, row: Row, era: str) -> None:
    """The token expires between two calls; the client was told when it would, or was not."""
    seen = []
    with (
        place.client(tmp_path / "told", row.sdk, era) as told,
        place.client(tmp_path / "untold", row.sdk, era) as untold,
    ):
        log_in_briefly(place, told, told=True)
        log_in_briefly(place, untold, told=False)
        place.let_token_expire(time.monotonic())
        for client in (told, untold):
            match call_again(place, client):
                case ["200 refresh_token"], []:
                    seen.append(f"{IN_TIME} [3]")
                case ["200 refresh_token"], [refused]:
                    seen.append(ON_THE_401)
                case ["200 authorization_code"], [refused]:
                    seen.append(LOGS_IN)
                case other:
                    pytest.fail(f"neither refreshes nor logs in: {other}")
            assert len(client.logins) == (2 if seen[-1] == LOGS_IN else 1)
    assert refused.challenge is not None
    assert parse_challenge(refused.challenge) == (
        "Bearer",
        {
            "error": "invalid_token",
            "error_description": "The access token has expired",
            "resource_metadata": place.stack.metadata_url,
            "scope": "mcp:read",
        },
    )
    assert ", else ".join(dict.fromkeys(seen)) == row.expiry


@EVERYWHERE
def test_login_again(place: Place, tmp_path: Path, row: Row, era: str) -> None:
    """The token has expired, and the authorization server no longer takes the refresh token."""
    with place.client(tmp_path, row.sdk, era) as client:
        log_in_briefly(place, client, told=True)
        begun_again = client.begun_again
        place.let_token_expire(time.monotonic())
        place.stack.authorization.forget_refresh_tokens()
        grants, _ = call_again(place, client)
        assert grants == ["400 refresh_token", "200 authorization_code"]
        assert len(client.logins) == 2
        assert how(client, begun_again) == row.relogin
        assert client.call("whoami")["x-mcp-sub"] == "alice"


def test_the_first_challenge_of_a_call_names_all_that_it_needs(
    place: Place, tmp_path: Path
) -> None:
    """One login is enough, where the routing headers tell what is called."""
    with place.client(tmp_path, PYTHON, PYTHON.eras[0], WITH_REFRESH) as client:
        client.connect()
        count(client)
        assert [one.status for one in place.relay.exchanges if one.method == "POST"][:2] == [401, 200]
    assert scopes_asked_for(client) == [{"mcp:read", "mcp:admin"}]


@pytest.mark.parametrize(
    ("sdk", "step", "change", "expected"),
    [
        pytest.param(sdk, *key, outcome, id=f"{'-'.join(key).replace(' ', '_')}-{sdk.name}")
        for key, outcomes in OUTCOMES.items()
        for sdk, outcome in zip(SDKS, outcomes, strict=True)
    ],
)
def test_what_a_client_needs_from_the_challenge(
    place: Place, tmp_path: Path, sdk: Sdk, step: str, change: str, expected: str
) -> None:
    status = 403 if step == "step-up" else 401
    changed = []

    def edit(answered: int, challenge: str) -> list[str]:
        # The first 401 has no `error`: where that is taken away, expiry is meant.
        if answered != status or (change == "no error" and "error=" not in challenge):
            return [challenge]
        changed.append(challenge)
        return CHANGES[change](challenge)

    place.relay.edit = edit
    known_as = WITHOUT_REFRESH if step == "step-up" else None
    with place.client(tmp_path, sdk, sdk.eras[0], known_as) as client:
        try:
            match step:
                case "login":
                    log_in(client)
                    [asked] = scopes_asked_for(client)
                    outcome = {1: READ, 2: ALL}[len(asked)]
                case "step-up":
                    log_in(client)
                    count(client)
                    outcome = WORKS
                case _:
                    log_in_briefly(place, client, told=False)
                    place.let_token_expire(time.monotonic())
                    call_again(place, client)
                    outcome = WORKS
        except ClientFailed:
            outcome = FAILS
    assert changed
    assert outcome == expected


def test_the_table_in_the_documents() -> None:
    page = (paths.REPOSITORY / "docs" / "sdks.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert table[2:] == [str(row) for row in ROWS]
