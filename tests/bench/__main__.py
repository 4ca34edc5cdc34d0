"""`python -m bench [--list] [--rounds N] [--report] [SCENARIO ...]`: all scenarios, or those named."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from support import paths
from support.bootstrap import Json
from support.introspection_server import IntrospectionServer, active
from support.processes import ChildFailed

from . import footprint, machine, minting, rounds
from .contenders import CACHED_TOKENS, Contender, contenders, filter_configuration
from .load import LoadFailed
from .plot import plot
from .report import report
from .scenarios import Tokens, scenarios

_RESULTS = paths.REPOSITORY / "target" / "bench"

# Measured by starting Envoys, not by loading them. It varies little: a few rounds will do.
_MEMORY = "memory"
_MEMORY_ROUNDS = 3


def main() -> int:
    known = [*scenarios(), _MEMORY]
    arguments = argparse.ArgumentParser(prog="bench", description=__doc__)
    arguments.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    arguments.add_argument("--list", action="store_true", help="name the scenarios, and end")
    arguments.add_argument("--rounds", type=_positive, default=5)
    arguments.add_argument("--seconds", type=_positive, default=1, help="for one measurement")
    arguments.add_argument("--module", type=Path, help="default: the one of `make build`")
    arguments.add_argument("--keep", type=Path, help="where logs and tokens are to stay")
    arguments.add_argument(
        "--report", action="store_true", help="write BENCHMARKS.md and its plot into the repository"
    )
    arguments.add_argument(
        "--render", action="store_true", help="measure nothing: write the last run's report anew"
    )
    given = arguments.parse_args()
    if given.list:
        print("\n".join(known))
        return 0
    if unknown := set(given.scenarios) - set(known):
        arguments.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if given.report and given.scenarios:
        arguments.error("--report is for a run of all scenarios")
    file = _RESULTS / "results.json"
    if not given.render:
        # A terminated run ends its children in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        module = given.module.resolve() if given.module else paths.wasm_module()
        if not module.is_file():
            arguments.error(f"no such module: {module}")
        with (
            tempfile.TemporaryDirectory(prefix="mcp-auth-bench-") as temporary,
            IntrospectionServer() as issuer,
        ):
            issuer.fault = lambda _: active(minting.told())
            directory = given.keep.resolve() if given.keep else Path(temporary)
            results = _measure(
                given.scenarios or known, module, directory, issuer, given.rounds, given.seconds
            )
        _RESULTS.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(file.read_text())
    text = _write(results, _RESULTS / "BENCHMARKS.md", _RESULTS / "benchmarks.svg")
    print(f"\n{text}\nAlso in {_RESULTS}, with every round.")
    if results["failed"]:
        print(f"FAILED: {', '.join(results['failed'])}")
        return 1
    if given.report:
        if missing := set(known) - _measured(results):
            arguments.error(f"the last run was without {', '.join(sorted(missing))}")
        repository = paths.REPOSITORY
        _write(results, repository / "BENCHMARKS.md", repository / "docs" / "benchmarks.svg")
    return 0


def _write(results: Json, text_file: Path, plot_file: Path) -> str:
    plot_file.parent.mkdir(exist_ok=True)
    plot_file.write_text(plot(results))
    text = report(results, plot_file=str(plot_file.relative_to(text_file.parent)))
    text_file.write_text(text)
    return text


def _measured(results: Json) -> set[str]:
    return {*results["scenarios"], *([_MEMORY] if "caches" in results else [])}


def _measure(
    names: list[str],
    module: Path,
    directory: Path,
    issuer: IntrospectionServer,
    count: int,
    seconds: int,
) -> Json:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    directory.mkdir(parents=True, exist_ok=True)
    configuration = filter_configuration(directory, module)
    all_contenders = contenders(module, configuration, directory, issuer)
    tokens = Tokens(directory)
    results: Json = {
        "machine": machine.described(module),
        "rounds": count,
        "seconds": seconds,
        "load_average": {"begin": os.getloadavg()[0]},
        "contenders": {name: one.title for name, one in all_contenders.items()},
        "cached_tokens": {
            "native-cached": CACHED_TOKENS,
            "ours": configuration.get("limits", {}).get("cached_tokens"),
        },
        "scenarios": {},
        "failed": [],
    }
    for name in names:
        say(name)
        try:
            _measure_one(name, results, all_contenders, directory, tokens)
        except (LoadFailed, ChildFailed, TimeoutError) as error:
            # The others still have something to say.
            results["failed"].append(name)
            say(f"{name} FAILED: {error}")
    results["load_average"]["end"] = os.getloadavg()[0]
    results["duration_seconds"] = round(time.monotonic() - began)
    return results


def _measure_one(
    name: str,
    results: Json,
    all_contenders: Mapping[str, Contender],
    directory: Path,
    tokens: Tokens,
) -> None:
    if name == _MEMORY:
        count = min(results["rounds"], _MEMORY_ROUNDS)
        results["starts"] = footprint.starts(all_contenders, directory, count)
        results["caches"] = footprint.caches(all_contenders, directory, tokens, count)
        return
    scenario = scenarios()[name](tokens)
    samples = rounds.run(
        scenario, all_contenders, directory, rounds=results["rounds"], seconds=results["seconds"]
    )
    results["scenarios"][name] = {
        "title": scenario.title,
        "workers": scenario.workers,
        "samples": {one: [sample.json() for sample in samples[one]] for one in samples},
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
