"""The filter and PyJWT judge the same tokens; where they disagree, it is known why.

`report.md` has the outcome. It is the same in every run: a change of either side shows as a
difference, and `DIFFERENTIAL_REPORT=write` takes it over.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.paths import REPOSITORY

from . import cases, explanations, reference
from .cases import NOW, SETTINGS, Case

REPORT = Path(__file__).with_name("report.md")
ALLOW = "allow"


def judge_binary() -> Path:
    """The filter's core as a program: what JUDGE names, or built here."""
    if named := os.environ.get("JUDGE"):
        return Path(named)
    cargo = [str(REPOSITORY / "scripts/cargo"), "build", "--quiet", "--locked"]
    built = subprocess.run(
        [*cargo, "--example", "judge", "--message-format", "json"],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    messages = map(json.loads, built.stdout.splitlines())
    return next(Path(message["executable"]) for message in messages if message.get("executable"))


def ask_filter(judge: Path, asked: list[Case]) -> list[str]:
    """The verdicts, in the order of the cases."""
    order = sorted(range(len(asked)), key=lambda at: asked[at].setting)
    lines, setting = [], None
    for at in order:
        case = asked[at]
        if case.setting != setting:
            setting = case.setting
            config, path = SETTINGS[setting]
            lines.append(json.dumps({"config": config, "path": path}))
        lines.append(json.dumps({"token": case.token, "now": NOW}))
    run = subprocess.run(
        [judge], input="\n".join(lines), check=True, stdout=subprocess.PIPE, text=True
    )
    verdicts = run.stdout.splitlines()
    assert len(verdicts) == len(asked)
    by_place = dict(zip(order, verdicts, strict=True))
    return [by_place[at] for at in range(len(asked))]


@pytest.fixture(scope="module")
def judge() -> Path:
    return judge_binary()


@pytest.fixture(scope="module")
def asked() -> list[Case]:
    return cases.generate()


@pytest.fixture(scope="module")
def verdicts(judge: Path, asked: list[Case]) -> list[str]:
    return ask_filter(judge, asked)


@pytest.fixture(scope="module")
def theirs(asked: list[Case]) -> list[str]:
    return [reference.judge(SETTINGS[case.setting][0], case.token, NOW) for case in asked]


def test_there_are_enough(asked: list[Case]) -> None:
    assert len(asked) >= 10_000
    assert len({(case.setting, case.token) for case in asked}) >= 10_000


def test_the_filter_says_what_is_expected(asked: list[Case], verdicts: list[str]) -> None:
    wrong = {
        (case.kind, case.expected, found, case.token[:2000])
        for case, found in zip(asked, verdicts, strict=True)
        if case.expected not in (None, found)
    }
    assert not wrong, _few(wrong)


def test_every_reason_that_lies_in_a_token_is_met(
    judge: Path, asked: list[Case], verdicts: list[str]
) -> None:
    listed = subprocess.run([judge, "--reasons"], check=True, stdout=subprocess.PIPE, text=True)
    # The first two are given before there is a token to look at, the last one by its issuer.
    elsewhere = {"credentials_missing", "scheme_not_bearer", "token_inactive"}
    reasons = set(listed.stdout.split()) - elsewhere
    expected = {case.expected for case in asked}
    assert reasons <= set(verdicts)
    assert reasons <= expected


def test_every_disagreement_is_explained(
    asked: list[Case], verdicts: list[str], theirs: list[str]
) -> None:
    unexplained = set()
    used: Counter[str] = Counter()
    for case, ours, other in zip(asked, verdicts, theirs, strict=True):
        if (ours == ALLOW) != (other == ALLOW):
            names = explanations.of(case, ours)
            used.update(names)
            if not names:
                unexplained.add((case.kind, ours, other, case.token[:2000]))
    assert not unexplained, _few(unexplained)
    idle = {explanation.name for explanation in explanations.ALL} - set(used)
    assert not idle, f"explanations of nothing: {sorted(idle)}"


def test_the_report_is_current(asked: list[Case], verdicts: list[str], theirs: list[str]) -> None:
    report = write_report(asked, verdicts, theirs)
    if os.environ.get("DIFFERENTIAL_REPORT") == "write":
        REPORT.write_text(report)
    assert REPORT.read_text() == report


def write_report(asked: list[Case], ours: list[str], theirs: list[str]) -> str:
    kinds: dict[str, list[int]] = {}
    for at, case in enumerate(asked):
        kinds.setdefault(case.kind, []).append(at)
    differ = [at for at in range(len(asked)) if (ours[at] == ALLOW) != (theirs[at] == ALLOW)]
    both_allow = sum(ours[at] == theirs[at] == ALLOW for at in range(len(asked)))
    explained: dict[str, list[int]] = {explanation.name: [] for explanation in explanations.ALL}
    for at in differ:
        for name in explanations.of(asked[at], ours[at]):
            explained[name].append(at)

    lines = [
        "# The filter and PyJWT on the same tokens",
        "",
        "Written by `test_differential.py` with `DIFFERENTIAL_REPORT=write`, and the same in every "
        "run. PyJWT requires `exp`, `iss` and `aud`, checks every claim that it knows, and enforces "
        "the minimal length of keys.",
        "",
        *_table(
            ("", "tokens"),
            [
                ("all", len(asked)),
                ("both accept", both_allow),
                ("both refuse", len(asked) - both_allow - len(differ)),
                ("they disagree, all explained below", len(differ)),
            ],
        ),
        "",
        "## Disagreements",
        "",
        *_table(
            ("the filter says", "tokens", "why"),
            [
                (f"`{each.verdict}`", len(explained[each.name]), each.text)
                for each in explanations.ALL
            ],
        ),
        "",
        "Where two explanations fit one token, it counts for both.",
        "",
        "## Kinds of tokens",
        "",
        *_table(
            ("kind", "tokens", "the filter says", "PyJWT says"),
            [
                (
                    _escaped(kind),
                    len(members),
                    _counts(ours[at] for at in members),
                    _counts(theirs[at] for at in members),
                )
                for kind, members in kinds.items()
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def _counts(verdicts: Iterable[str]) -> str:
    counts = Counter(verdicts).most_common()
    counts.sort(key=lambda item: (-item[1], item[0]))
    if len(counts) == 1:
        return f"`{counts[0][0]}`"
    return ", ".join(f"`{verdict}` {count}" for verdict, count in counts)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _few(wrong: set[tuple[str, ...]]) -> str:
    shown = "\n".join(map(repr, sorted(wrong, key=repr)[:20]))
    return f"{len(wrong)} of them:\n{shown}"
