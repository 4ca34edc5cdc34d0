"""wrk, run once: what it sends, and what came of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.processes import Child

from . import machine

CONNECTIONS = 16

_SCRIPT = Path(__file__).with_name("requests.lua")


class LoadFailed(RuntimeError):
    """Answers were not those that the scenario measures."""


@dataclass(frozen=True)
class Traffic:
    """Requests that differ in nothing but their token."""

    path: str
    tokens: Path | None = None
    headers: int = 10
    """How many a request has, `Host` and `Authorization` among them."""
    refused: bool = False
    """Whether it is answered with an error."""

    def text(self) -> tuple[str, str]:
        """A request's text before and after the token."""
        lines = [f"GET {self.path} HTTP/1.1", *_HEADERS]
        authorization = [] if self.tokens is None else ["Authorization: Bearer "]
        more = self.headers - len(_HEADERS) - len(authorization)
        lines += [f"X-Extra-{n}: some value of a header {n}" for n in range(more)]
        return "\r\n".join(lines + authorization), "\r\n\r\n"


# Those of a client of MCP behind a proxy of its own.
_HEADERS = (
    "Host: mcp.example.com",
    "Accept: application/json, text/event-stream",
    "Content-Type: application/json",
    "User-Agent: mcp-client/1.0",
    "MCP-Protocol-Version: 2025-11-25",
    "Mcp-Session-Id: 6f2c1f0e-7e0c-4c1e-9d6c-0d8d1b2f3a4b",
    "Accept-Encoding: gzip, deflate, br",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@dataclass(frozen=True)
class Outcome:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float


def run(
    directory: Path,
    port: int,
    traffic: Traffic,
    *,
    seconds: int,
    threads: int = 1,
    laps: int = 0,
    cores: Sequence[int] = (),
) -> Outcome:
    """Loads a port for so long, or until each token was sent so often."""
    directory.mkdir(parents=True, exist_ok=True)
    before, after = directory / "before.txt", directory / "after.txt"
    for file, text in zip((before, after), traffic.text(), strict=True):
        file.write_bytes(text.encode())
    tokens = [] if traffic.tokens is None else [str(traffic.tokens), str(laps)]
    wrk = shutil.which("wrk")
    if wrk is None:
        raise FileNotFoundError("wrk is missing (Debian: apt-get install wrk)")
    with (
        machine.on_cores(cores),
        Child(
            "wrk",
            [
                wrk,
                "--threads", str(threads),
                "--connections", str(CONNECTIONS),
                "--duration", f"{seconds}s",
                "--script", _SCRIPT,
                f"http://127.0.0.1:{port}{traffic.path}",
                "--", str(threads), before, after,
                *tokens,
            ],
            directory,
        ) as child,
    ):  # fmt: skip
        child.wait(timeout=seconds + 30)
        output = child.stdout_path.read_text()
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadFailed(f"wrk said no figures:\n{output}{child.log()}")
    found = json.loads(lines[-1])
    expected = found["requests"] if traffic.refused else 0
    if found["broken"] or found["refused"] != expected or not found["requests"]:
        raise LoadFailed(
            f"{traffic.path}: {found['requests']} answers, {found['refused']} of them refusals"
            f" (expected {expected}), {found['broken']} broken connections"
        )
    return Outcome(found["requests"], found["seconds"], found["p50_us"], found["p99_us"])


def threads_for(workers: int, cores: Sequence[int]) -> int:
    """One thread loads two workers with ease."""
    available = len(cores) or len(os.sched_getaffinity(0))
    return max(1, min(workers, available))
