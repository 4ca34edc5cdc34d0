"""The command-line tool `mcp-auth`, as a program."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from . import paths


@cache
def mcp_auth() -> Path:
    """The built program; where `make test` has built it already, cargo finds nothing to do."""
    command = ["scripts/cargo", "build", "--locked", "--bin", "mcp-auth", "--message-format", "json"]
    done = subprocess.run(
        command, cwd=paths.REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    [program] = [one["executable"] for one in messages if one.get("executable")]
    return Path(program)


def run(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [mcp_auth(), *arguments], input=given, capture_output=True, text=True, check=False, timeout=120
    )


def probe(url: str, token: str | None = None) -> dict[str, Any]:
    """The report on a server; `good` agrees with the exit code."""
    with_token = [] if token is None else ["--token"]
    done = run("probe", url, "--json", "--timeout", "60", *with_token, given=token or "")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["good"] else 1)
    return report


def marked(report: dict[str, Any], mark: str) -> list[str]:
    return [check["name"] for check in report["checks"] if check["mark"] == mark]


def verdicts(report: dict[str, Any], field: str = "verdict") -> dict[str, Any]:
    """What is said of each official SDK."""
    return {one["name"]: one[field] for one in report["clients"] if one["official"]}
