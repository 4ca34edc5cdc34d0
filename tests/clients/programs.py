"""Programs that are clients: installed by `scripts/clients`, run as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support import paths
from support.clients import ClientFailed

from .place import Place

PATIENCE = 120.0
"""Seconds for one command, its login included."""
INSTALLED = paths.TOOLS / "clients"

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def npm_folder(name: str, package: str) -> Path:
    return INSTALLED / name / "node_modules" / package


def npm_version(name: str, package: str) -> str:
    return json.loads((npm_folder(name, package) / "package.json").read_text())["version"]


def npm_program(name: str, package: str, command: str) -> list[str | Path]:
    """The command of a package, on the Node.js of the tests."""
    folder = npm_folder(name, package)
    named = json.loads((folder / "package.json").read_text())["bin"]
    return [paths.node_binary(), folder / (named if isinstance(named, str) else named[command])]


def run(
    place: Place,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """What it printed; fails with all that its user saw."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=place.work,
        env={**place.environment(), **(environment or {})},
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin.encode() if stdin is not None else None, PATIENCE)
    except subprocess.TimeoutExpired:
        raise ClientFailed(f"{' '.join(map(str, command))} went on for {PATIENCE:.0f} s") from None
    finally:
        # What it has started, a daemon or a helper, ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    said = _COLOURS.sub("", out.decode(errors="replace"))
    if process.returncode:
        raise ClientFailed(_COLOURS.sub("", f"{said}\n{err.decode(errors='replace')}").strip())
    return said


def text_of(result: Mapping[str, Any]) -> str:
    """The words of a tool's result; fails with them where it is an error."""
    text = "\n".join(one.get("text", "") for one in result.get("content", []))
    if result.get("isError"):
        raise ClientFailed(text)
    return text
