"""What a client does, step by step: the columns of the table in docs/clients.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from support.clients import ClientFailed

from .place import LIFETIME, Place

TOOLS = {"echo", "whoami", "count", "announce"}


class Client(Protocol):
    """A client that a person uses; it fails with the text that this person is shown."""

    title: str
    """As docs/clients.md names it, with its version."""
    token_seconds: int
    """The lifetime of a token that is to expire: a login and a call have to fit in."""
    quick: bool
    """Whether a call is a matter of a second; else steps that few would miss are left out."""
    login: str
    """The cell on its login: "yes" where a call leads to it, else the command; "no" where it has none of its own."""

    def log_in(self) -> None:
        """All that a person has to do once before its first call."""

    def tools(self) -> set[str]: ...

    def call(self, tool: str, **arguments: object) -> str:
        """The text of the result."""
        ...

    def log_in_again(self) -> None:
        """What a person does who is told to."""

    scopes_at_login: str | None
    """How a person can name scopes at a login."""

    def log_in_for(self, *scopes: str) -> None: ...


@dataclass
class Seen:
    """Cells of the table, by column."""

    cells: dict[str, str] = field(default_factory=dict)

    def saw(self, column: str, cell: str) -> None:
        self.cells[column] = cell
        print(f"  {column}: {cell}", flush=True)

    def was_shown(self, where: str, text: str) -> None:
        print(f"    {where}, its user sees: {' '.join(text.split())[:300]}", flush=True)


def run(place: Place, client: Client) -> Seen:
    seen = Seen()
    first_login(place, client, seen)
    refused(place, client, seen)
    unavailable(place, client, seen)
    withdrawn_and_expired(place, client, seen)
    step_up(place, client, seen)
    return seen


def check(holds: bool, what: object) -> None:
    if not holds:
        raise AssertionError(str(what))


def first_login(place: Place, client: Client, seen: Seen) -> None:
    client.log_in()
    tools = client.tools()
    check(tools >= TOOLS, f"tools/list: {sorted(tools)}")
    who = client.call("whoami")
    check(place.authorization.issuer in who, f"the server does not know the caller: {who}")
    seen.saw("protocol", ", ".join(sorted(place.protocols(), reverse=True)))
    found = [one for one in place.relay.exchanges if "oauth-protected-resource" in one.target]
    seen.saw("discovery", "yes" if found and found[-1].status == 200 else "no")
    seen.saw("login", client.login)
    seen.saw("call", "yes")
    if client.login == "no":
        return
    scopes = place.logins()[0]
    check("mcp:read" in scopes, f"asked for {scopes}")
    seen.saw("asks for", "`scope`" if scopes == {"mcp:read"} else "`scopes_supported`")
    check(place.grants()[0] == "200 authorization_code", place.grants())
    check(len(place.logins()) == 1, f"{len(place.logins())} logins for one")


def refused(place: Place, client: Client, seen: Seen) -> None:
    """An operation that nobody may use."""
    try:
        said = client.call("announce")
    except ClientFailed as failed:
        said = str(failed)
    seen.was_shown("a refused operation", said)
    check("not allowed here" in said, "the reason of a refused operation is lost")


def unavailable(place: Place, client: Client, seen: Seen) -> None:
    """A call while the filter has no keys."""
    place.without_keys(True)
    place.relay.exchanges.clear()
    try:
        said = client.call("echo", text="hello")
    except ClientFailed as failed:
        said = str(failed)
    check(503 in place.statuses(), f"nothing was answered 503: {place.statuses()}")
    place.without_keys(False)
    seen.was_shown("a 503", said)
    cell = "text shown" if "cannot be fetched" in said else "text lost"
    try:
        client.call("whoami")
    except ClientFailed as failed:
        seen.was_shown("the next call", str(failed))
        cell = "session ends"
        client.log_in_again()
        client.call("whoami")
    seen.saw("503 in a call", cell)


def withdrawn_and_expired(place: Place, client: Client, seen: Seen) -> None:
    """The key that signed its token is no longer the issuer's; the token that it gets in its place expires.

    It was told when it would, or was not.
    """
    ways = []
    for told in (True, False) if client.quick else (True,):
        with _short_tokens(place, client, told=told):
            place.withdraw_the_signing_key()
            way = _how_it_goes_on(place, client, seen)
            if told:
                seen.saw("signing key gone", way.replace(" on the 401", ""))
        place.let_token_expire(client.token_seconds)
        ways.append(_how_it_goes_on(place, client, seen))
    seen.saw("expiry", ", else ".join(dict.fromkeys(ways)))


@contextmanager
def _short_tokens(place: Place, client: Client, *, told: bool) -> Iterator[None]:
    place.authorization.set_token_lifetime(client.token_seconds, told=told)
    yield
    place.authorization.set_token_lifetime(LIFETIME)


def _how_it_goes_on(place: Place, client: Client, seen: Seen) -> str:
    """A call with a token that the filter refuses."""
    place.relay.exchanges.clear()
    before = len(place.grants())
    again = ""
    try:
        client.call("echo", text="hello")
    except ClientFailed as failed:
        seen.was_shown("a refused token", str(failed))
        again = "with the next call"
        try:
            client.call("echo", text="hello")
        except ClientFailed:
            again = "when its user logs in again"
            client.log_in_again()
            client.call("echo", text="hello")
    grants = place.grants()[before:]
    refused = 401 in place.statuses()
    if not grants:
        raise AssertionError("no new token was asked for")
    # A token that is new may be refreshed at once, where it does not live long.
    if "200 authorization_code" in grants:
        way = "logs in"
    elif grants[-1] == "200 client_credentials":
        way = "asks its application"
    elif grants[-1] == "200 refresh_token":
        way = "refreshes" + (" on the 401" if refused else " in time")
    else:
        raise AssertionError(f"no token: {grants}")
    return f"{way} {again}".strip()


def step_up(place: Place, client: Client, seen: Seen) -> None:
    """A tool that needs one more scope."""
    logins = len(place.logins())
    try:
        said = client.call("count", to=1, milliseconds_apart=1)
        cell = "yes, same call"
        check("counted to 1" in said, said)
    except ClientFailed as failed:
        seen.was_shown("one scope too few", str(failed))
        cell = _by_hand(client, seen)
    asked = place.logins()[logins:]
    seen.saw("step-up", cell)
    if cell != "no" and client.login != "no":
        check({"mcp:read", "mcp:admin"} <= asked[-1], f"asked for {asked}")


def _by_hand(client: Client, seen: Seen) -> str:
    client.log_in_again()
    try:
        client.call("count", to=1, milliseconds_apart=1)
    except ClientFailed as failed:
        seen.was_shown("the same after a login", str(failed))
    else:
        return "with the next login"
    if client.scopes_at_login is None:
        return "no"
    client.log_in_for("mcp:read", "mcp:admin")
    client.call("count", to=1, milliseconds_apart=1)
    return f"no; {client.scopes_at_login} at login"
