"""The request cases of tests/cases: reading them, and checking an answer against one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from . import tokens
from .bootstrap import MARKS
from .challenges import parse_challenge
from .http1 import Response
from .paths import CASES
from .recorder import Recorded

Json = dict[str, Any]

_NO_CASES = {
    "keys.json",
    "path_attacks.json",
    "paths_as_read.json",
    "paths_ordinary.json",
    "reasons.json",
}


@dataclass(frozen=True)
class Case:
    file: str
    name: str
    config: str
    host: str
    request: Json
    claims: Json
    challenge: Json
    recipe: Json
    expect: Json

    @property
    def id(self) -> str:
        return f"{self.file}: {self.name}"

    def token(self) -> str:
        return tokens.mint(self.recipe, self.claims)


@cache
def reasons() -> dict[str, Json]:
    return json.loads((CASES / "reasons.json").read_text())["reasons"]


def load() -> list[Case]:
    return [
        Case(
            file=path.stem,
            name=one["name"],
            config=document["config"],
            host=document["host"],
            request={**document.get("request", {}), **one.get("request", {})},
            claims=document.get("claims", {}),
            challenge=document.get("challenge", {}),
            recipe=one.get("token", {}),
            expect=one["expect"],
        )
        for path in sorted(CASES.glob("*.json"))
        if path.name not in _NO_CASES
        for document in [json.loads(path.read_text())]
        for one in document["cases"]
    ]


@dataclass(frozen=True)
class Config:
    filter: Json
    clusters: dict[str, str]


def config(name: str) -> Config:
    document = json.loads((CASES / "configs" / f"{name}.json").read_text())
    return Config(_with_keys(document["filter"]), document.get("clusters", {}))


def config_names() -> list[str]:
    return sorted(path.stem for path in (CASES / "configs").glob("*.json"))


def check_response(case: Case, response: Response) -> None:
    """AssertionError if the answer is not what the case expects."""
    expect = case.expect
    reason = reasons()[expect["reason"]] if "reason" in expect else None
    status = expect["status"] if reason is None else reason["status"]
    allowed = status if isinstance(status, list) else [status]
    assert response.status in allowed, f"{response.status}, not {status}: {response.body[:300]!r}"
    is_refusal = response.status >= 400 and response.status != 405
    has_body = case.request.get("method") != "HEAD"
    if is_refusal and expect.get("upstream") is None:
        assert response.header("content-type") == "application/json"
        assert response.header("cache-control") == "no-store"
        if has_body:
            assert set(response.json()) == {"error", "error_description"}
    if reason is not None:
        if has_body:
            assert response.json() == {
                "error": reason["error"],
                "error_description": reason["description"],
            }
        _check_challenge(case, reason, response)
    elif response.status == 401:
        _parsed_challenge(response)
    check_headers(expect.get("headers", {}), response.all)
    if "body" in expect:
        body = response.json()
        found = {member: body.get(member) for member in expect["body"]}
        assert found == expect["body"]
    if not has_body:
        assert response.body == b""


def check_upstream(case: Case, seen: list[Recorded]) -> None:
    expected = case.expect.get("upstream")
    if expected is None:
        assert not seen, f"this reached the upstream: {seen[0].line!r}"
        return
    assert len(seen) == 1, f"{len(seen)} requests reached the upstream"
    check_headers(expected.get("headers", {}), seen[0].all)
    if "target" in expected:
        assert seen[0].target == expected["target"]


def check_mark(case: Case, logged: Mapping[str, Any]) -> None:
    """The filter state that the filter has left, as the access log shows it."""
    upstream = case.expect.get("upstream")
    if upstream is not None:
        assert logged["mark"] == upstream["mark"]
    else:
        assert logged["mark"] not in MARKS
    reason = case.expect.get("reason", case.expect.get("observed"))
    if reason is not None:
        assert logged["reason"] == reason


def check_log(token: str, log: str) -> None:
    """No part of a token is ever logged, good or bad."""
    for part in token.split("."):
        assert len(part) < 16 or part not in log, "a part of the token is in Envoy's log"


def check_headers(expected: Mapping[str, Any], all_of: Any) -> None:
    for name, wanted in expected.items():
        values = all_of(name)
        if wanted is None:
            assert not values, f"{name} is there: {values}"
            continue
        assert len(values) == 1, f"{len(values)} times {name}: {values}"
        if isinstance(wanted, str):
            assert values[0] == wanted, f"{name}: {values[0]!r}, not {wanted!r}"
        for part in wanted.get("contains", []) if isinstance(wanted, dict) else []:
            assert part.lower() in values[0].lower(), f"{name}: no {part!r} in {values[0]!r}"


def _check_challenge(case: Case, reason: Json, response: Response) -> None:
    expected = case.expect.get("challenge", case.challenge)
    if reason["challenge"] == "none" or expected is None:
        assert not response.all("www-authenticate")
        return
    parameters = dict(expected)
    if reason["challenge"] == "with_error":
        parameters["error"] = reason["error"]
        parameters["error_description"] = reason["description"]
    assert _parsed_challenge(response) == parameters


def _parsed_challenge(response: Response) -> dict[str, str]:
    lines = response.all("www-authenticate")
    assert len(lines) == 1, f"{len(lines)} challenges"
    scheme, parameters = parse_challenge(lines[0])
    assert scheme == "Bearer"
    return parameters


def _with_keys(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$jwks"}:
            return tokens.jwks(value["$jwks"])
        return {name: _with_keys(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_keys(one) for one in value]
    return value
