"""`make compose`: every scenario, or those that are named, with what each shows."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from . import images, scenarios
from .engine import Engine, EngineFailed
from .written import written_by_init, written_by_init_opaque

ALL = scenarios.ALL | {
    "written-by-init": written_by_init,
    "written-by-init-opaque": written_by_init_opaque,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"compose: no scenario {unknown[0]!r}; there are {', '.join(ALL)}")
        return 2
    own = bool(os.environ.get("OWN_ENGINE"))
    parts = Path(os.environ.get("COMPOSE_PARTS", "."))
    started = time.monotonic()
    failed = 0
    try:
        running = Engine(own=own, data=parts / "engine")
    except (EngineFailed, OSError, TimeoutError) as error:
        print(f"\n!!! NOT RUN: make compose. No Docker engine could be started here: {error}")
        return 0 if os.environ.get("CI") else 1
    with running as engine:
        if own:
            engine.environment["HYDRA_VERSION"] = images.HYDRA_VERSION
            images.build(
                engine,
                parts,
                Path(os.environ["COMPOSE_NPX"]),
                Path(os.environ["COMPOSE_HYDRA"]),
                lambda text: print(f"compose: {text}", flush=True),
            )
        for name in names or ALL:
            scenario = ALL[name]
            print(f"\n{name}: {scenario.__doc__}", flush=True)
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="mcp-auth-compose-") as directory:
                # Containers run as other users.
                Path(directory).chmod(0o755)
                stage = scenarios.Stage(engine, Path(directory), lambda text: print(f"  {text}"))
                try:
                    scenario(stage)
                except Exception as error:
                    failed += 1
                    print(f"  FAILED: {error}", flush=True)
                    for line in stage.last_logs.splitlines()[-15:]:
                        print(f"    {line[:300]}")
                    if os.environ.get("DEBUG"):
                        raise
                else:
                    print(f"  passed in {time.monotonic() - began:.0f} s", flush=True)
    passed = len(names or ALL) - failed
    print(f"\ncompose: {time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
