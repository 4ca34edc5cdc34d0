"""Prints the demo: one line for each request, with the status that came back."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

WIDTH = max(80, min(100, shutil.get_terminal_size((100, 24)).columns))
_INDENT = 42
_COLOURS = {"bold": "1", "dim": "2", "green": "32", "red": "31", "yellow": "33", "cyan": "36"}


class Narrator:
    def __init__(self) -> None:
        self._coloured = (
            sys.stdout.isatty()
            and not os.environ.get("NO_COLOR")  # no-color.org: set and not empty
            and os.environ.get("TERM") != "dumb"
        )

    def heading(self, text: str) -> None:
        print(f"\n{self._paint('bold', text)}", flush=True)

    def row(self, name: str, value: str, note: str = "") -> None:
        print(f"  {name:<22}{self._paint('cyan', value)}  {self._paint('dim', note)}".rstrip())
        sys.stdout.flush()

    def step(self, status: int, request: str, note: str = "") -> None:
        """A request and its answer; a note that is too long goes on below itself."""
        colour = "green" if status < 400 else "yellow" if status in (401, 403) else "red"
        first, *rest = textwrap.wrap(note, WIDTH - _INDENT, break_on_hyphens=False) or [""]
        room = _INDENT - len("  401  ")
        if len(request) >= room:
            print(f"  {self._paint(colour, str(status))}  {request}")
            rest = [first, *rest] if first else []
        else:
            line = f"  {self._paint(colour, str(status))}  {request:<{room}}"
            print(f"{line}{self._paint('dim', first)}".rstrip())
        for more in rest:
            print(f"{'':<{_INDENT}}{self._paint('dim', more)}")
        sys.stdout.flush()

    def header(self, text: str) -> None:
        """A header of the answer that was told of last."""
        for line in textwrap.wrap(
            text, WIDTH - 7, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ):
            print(f"       {self._paint('cyan', line)}", flush=True)

    def say(self, text: str) -> None:
        print(self._paint("dim", text), flush=True)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._coloured and text else text
