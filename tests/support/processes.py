"""Child processes that cannot outlive whoever started them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .waiting import until

# Runs between fork and exec in a fresh interpreter: a preexec_fn would run Python in the fork of
# a process with threads, which can deadlock. The kernel clears the death signal on fork, not on exec.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended before the child began")
os.execv(sys.argv[2], sys.argv[2:])
"""


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class ChildFailed(RuntimeError):
    """A child ended although it was needed; carries the end of its log."""


class Child:
    """A process in its own group, with stdout and stderr in files.

    The kernel kills it when the thread that started it ends, pytest being killed included:
    start children from the main thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        listens: bool = False,
    ) -> None:
        """With `listens`, what `tell` is given goes to its stdin."""
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.stdout_path = directory / f"{name}.out"
        self.log_path = directory / f"{name}.log"
        arguments = [str(part) for part in command]
        with self.stdout_path.open("wb") as stdout, self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *arguments],
                stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def check(self) -> None:
        """Raises if the process has ended."""
        code = self._process.poll()
        if code is not None:
            last = "\n".join(self.log().splitlines()[-25:])
            raise ChildFailed(f"{self.name} ended with status {code}; its log ends with:\n{last}")

    def first_json_line(self, timeout: float = 300.0) -> dict[str, Any]:
        """The object that the process prints as its first line once it is ready."""

        def line() -> str | None:
            self.check()
            text = self.stdout_path.read_text()
            return text.split("\n", 1)[0] if "\n" in text else None

        return json.loads(until(line, f"{self.name} to be ready", timeout=timeout))

    def wait(self, timeout: float) -> int:
        return self._process.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to the whole group; returns once the process is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
