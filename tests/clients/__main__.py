"""`make clients`: every client, or those that are named, and the table of docs/clients.md beside what they do."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import one_by_one, paths

from . import story
from .agents import ClaudeCode, Codex, OpenCode
from .commands import Inspector, McPorter
from .mcp_remote import McpRemote
from .place import Place
from .sdks import FastMcp, Go, Java, Python1

ALL: dict[str, Callable[[Place], Any]] = {
    "mcp-remote": McpRemote,
    "mcporter": McPorter,
    "inspector": Inspector,
    "python-1": Python1,
    "fastmcp": FastMcp,
    "go": Go,
    "java": Java,
    "opencode": OpenCode,
    "codex": Codex,
    "claude-code": ClaudeCode,
}
PAGE = paths.REPOSITORY / "docs" / "clients.md"


def table() -> dict[str, dict[str, str]]:
    """The rows of the page by client, without the numbers of notes."""
    rows = [
        [re.sub(r" \[\d+\]", "", cell.strip()) for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def differences(title: str, seen: story.Seen) -> list[str]:
    """A cell says what was seen first; it may say more."""
    found = [row for client, row in table().items() if client.partition(" (")[0] == title]
    if not found:
        return [f"no row is for {title!r}"]
    return [
        f"{column}: the page has {found[0][column]!r}, seen was {cell!r}"
        for column, cell in seen.cells.items()
        if column in found[0] and not found[0][column].startswith(cell)
    ]


def run(name: str, directory: Path) -> list[str]:
    """Runs one client; the cells of its row that are wrong."""
    made = ALL[name]
    with Place(directory, getattr(made, "AUTHORIZATION", {})) as place:
        client = made(place)
        print(f"  {client.title}", flush=True)
        try:
            seen = story.run(place, client)
        except BaseException:
            print(place.logs())
            raise
        finally:
            client.stop()
    return differences(client.title, seen)


if __name__ == "__main__":
    sys.exit(one_by_one.run("clients", sys.argv[1:], ALL, run))
