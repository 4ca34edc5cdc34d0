"""Prints the demo: numbered steps of what was sent, what came back, and why."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 96
_COLOURS = {"bold": "1", "dim": "2", "green": "32", "red": "31", "yellow": "33", "cyan": "36"}


class Narrator:
    def __init__(self) -> None:
        self._step = 0
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str) -> None:
        """A line of progress outside of the story."""
        print(self._paint("dim", text), flush=True)

    def heading(self, text: str) -> None:
        print(f"\n{self._paint('bold', text)}\n{self._paint('dim', '=' * len(text))}", flush=True)

    def step(self, title: str) -> None:
        self._step += 1
        number = self._paint("cyan", f"{self._step:2}.")
        print(f"\n{number} {self._paint('bold', title)}", flush=True)

    def sent(self, line: str, details: Iterable[str] = ()) -> None:
        print(f"    > {line}", flush=True)
        self._details(details)

    def came_back(self, status: int, details: Iterable[str] = (), *, where: str = "") -> None:
        colour = "green" if status < 400 else "yellow" if status in (401, 403) else "red"
        print(f"    < {self._paint(colour, str(status))} {where}".rstrip(), flush=True)
        self._details(details)

    def result(self, details: Iterable[str]) -> None:
        """What the answer that was last told of had in it."""
        self._details(details)

    def why(self, text: str) -> None:
        wrapped = textwrap.wrap(text, WIDTH - 10)
        for index, line in enumerate(wrapped):
            label = "why:" if index == 0 else "    "
            print(f"    {self._paint('dim', f'{label} {line}')}", flush=True)

    def _details(self, lines: Iterable[str]) -> None:
        for line in lines:
            for piece in _wrap(line) or [""]:
                print(f"      {piece}", flush=True)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._coloured else text


def _wrap(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH - 6, subsequent_indent="  ", break_on_hyphens=False)


def members(document: Mapping[str, Any], *names: str) -> list[str]:
    """The named members of a JSON object that are there, one a line."""
    return [f"{name}: {_plain(document[name])}" for name in names if name in document]


def shortened(token: str) -> str:
    """Enough of a token to recognise it, never enough to use it."""
    return f"{token[:12]}... ({len(token)} bytes)"


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
