"""Programs that are clients: installed by `scripts/clients`, run as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

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
    terminal: bool = False,
) -> str:
    """What it printed; fails with all that its user saw. Some log in only on a terminal."""
    inside, outside = pty.openpty() if terminal else (None, None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=place.work,
            env={**place.environment(), **(environment or {})},
            stdin=subprocess.DEVNULL if outside is None else outside,
            stdout=out if outside is None else outside,
            stderr=err if outside is None else outside,
            start_new_session=True,
        )
        try:
            if inside is not None and outside is not None:
                os.close(outside)
                _copy(inside, out, time.monotonic() + PATIENCE)
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            # What it has started, a daemon or a helper, ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if inside is not None:
                os.close(inside)
        said, also = _read(out), _read(err)
    if status:
        raise ClientFailed(f"{said}\n{also}".strip() or f"{command[0]} ended with {status}")
    return said


def _copy(terminal: int, out: IO[bytes], until: float) -> None:
    """What is written to a terminal until its last user has gone."""
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # EIO: closed at the other end
                return
            out.write(piece)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return _COLOURS.sub("", file.read().decode(errors="replace"))


def text_of(result: Mapping[str, Any]) -> str:
    """The words of a tool's result; fails with them where it is an error."""
    text = "\n".join(one.get("text", "") for one in result.get("content", []))
    if result.get("isError"):
        raise ClientFailed(text)
    return text
