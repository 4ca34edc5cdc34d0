"""What is measured on a process, and what it was measured on."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from support import paths
from support.bootstrap import Json


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads.

    It is the sum that /proc/PID/stat has, which counts in steps of 10 ms; the kernel's clock of
    the process (its id is MAKE_PROCESS_CPUCLOCK of the kernel's headers) has nanoseconds.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    with Path(f"/proc/{pid}/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """What is started inside stays on these cores; an empty collection leaves it free."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores_for(workers: int) -> tuple[list[int], list[int]]:
    """Cores for Envoy and for the load, apart from each other; both empty if there are too few."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= workers:
        return [], []
    return cores[:workers], cores[workers:]


def described(module: Path) -> Json:
    content = module.read_bytes()
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "envoy": _envoy_version(),
        "wrk": _first_line(["wrk", "--version"]),
        "module_bytes": len(content),
        "module_sha256": hashlib.sha256(content).hexdigest(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _envoy_version() -> str:
    line = _first_line([str(paths.envoy_binary()), "--version"])
    found = re.search(r"/(\d+\.\d+\.\d+)/", line)
    return found[1] if found else line


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0].partition(" [")[0].removeprefix("wrk ").strip() if lines else "unknown"
