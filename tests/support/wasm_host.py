"""The module on a small host that counts what it is asked for: see host/host.mjs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import paths

_HOST = Path(__file__).with_name("host") / "host.mjs"


@dataclass(frozen=True)
class Outcome:
    paused: bool
    calls: Mapping[str, int]
    """Host calls by name, without `proxy_`."""
    reply: Mapping[str, Any] | None
    state: Mapping[str, str]
    """The filter state that was set."""


def run(
    module: Path,
    configuration: Mapping[str, Any],
    requests: Sequence[Sequence[tuple[str, str]]],
    *,
    now: int,
    fails: Sequence[str] = (),
) -> list[Outcome]:
    """Sends these requests, one after the other, to one instance of the module, while these calls
    fail."""
    scenario = {
        "module": str(module),
        "configuration": configuration,
        "time": now,
        "requests": [
            {"headers": headers, "ends": True, "fails": [f"proxy_{name}" for name in fails]}
            for headers in requests
        ],
    }
    done = subprocess.run(
        [paths.node_binary(), _HOST], input=json.dumps(scenario), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [
        Outcome(
            paused=one["action"] != 0,
            calls={name.removeprefix("proxy_"): count for name, count in one["calls"].items()},
            reply=one["reply"],
            state=one["state"],
        )
        for one in json.loads(done.stdout)
    ]
