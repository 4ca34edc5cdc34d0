"""Runs named things one after another, each in a folder of its own: `make clients` and `make providers`."""

from __future__ import annotations

import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path


def run(
    program: str,
    names: Sequence[str],
    known: Collection[str],
    one: Callable[[str, Path], list[str]],
    table: Callable[[], str] = lambda: "",
) -> int:
    """Runs those that are named, or all, and returns the exit code.

    `one` returns what is wrong, or raises; `table` is asked at the end for what was seen.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"{program}: there is no {unknown[0]!r}, only {', '.join(known)}")
        return 2
    # A terminated run ends its children in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started, failed = time.monotonic(), []
    for name in names or known:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"mcp-auth-{program}-") as directory:
            try:
                wrong = one(name, Path(directory))
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"]
        if wrong:
            failed.append(name)
        print("\n".join(f"  FAILED: {text}" for text in wrong) or "  passed")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{table()}\n{program}: {time.monotonic() - started:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    print(f"{len(names or known) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
