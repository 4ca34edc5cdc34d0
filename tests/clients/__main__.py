"""`make clients`: every client, or those that are named, and the table of docs/clients.md beside what they do."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import paths

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


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"clients: no client {unknown[0]!r}; there are {', '.join(ALL)}")
        return 2
    # A terminated run ends its children in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started, failed = time.monotonic(), []
    for name in names or ALL:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mcp-auth-clients-") as directory:
            try:
                wrong = run(name, Path(directory))
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}", traceback.format_exc()[-1500:]]
        if wrong:
            failed.append(name)
        print("\n".join(f"  FAILED: {one}" for one in wrong) or "  as docs/clients.md has it")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    print(f"\nclients: {time.monotonic() - started:.0f} s, load average {os.getloadavg()[0]:.1f}")
    print(f"{len(names or ALL) - len(failed)} as the page has them, {len(failed)} not: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
