"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from support.bootstrap import Json

from .figures import Figure, each_round, figure, ratio, values
from .footprint import WORKERS
from .load import CONNECTIONS
from .targets import mebibytes, memory_per_worker, resident, targets, two_places

_INTRODUCTION = """# Benchmarks

What a request costs in Envoy with this filter, beside no filter and Envoy's own `jwt_authn`. Written
by `make bench REPORT=1`; `make bench` alone leaves the same in `target/bench/`, with every round in
`results.json`.

Absolute figures are of one machine and one hour; what counts are the ratios. They are taken within
a round, in which each contender is loaded once, in an Envoy that is started and warmed up for it:
two Envoys of the same configuration can differ by 8 %, each true to itself for as long as it lives.
Figures are medians of the rounds, with the least and the most in parentheses. CPU is that of the
whole Envoy process, user and system, divided by the requests answered.

`jwt_authn` and this filter do the same work: they check signature, issuer, audience and times of a
token, put three claims into headers, and remove the `Authorization` header. Envoy answers by itself
behind the filters (`direct_response`). Requests have ten headers where nothing else is said, and
come on {connections} connections of HTTP/1.1 from `wrk`, which sends the next one as soon as the
last is answered: latencies are those of an Envoy that is kept busy. Where the machine has cores
enough, Envoy and `wrk` have their own. The interlock is the RBAC filter that docs/deploying.md asks for
behind this filter. "A filter that only makes this one's calls" is a module of some hundred bytes that
asks the host for the same things and judges nothing: what WebAssembly costs in Envoy by itself."""


def report(results: Json, plot_file: str) -> str:
    return "\n".join(_parts(results, plot_file)) + "\n"


def _parts(results: Json, plot_file: str) -> Iterator[str]:
    yield _INTRODUCTION.format(connections=CONNECTIONS)
    yield from _machine(results)
    yield "\n## Targets\n"
    yield from _table(
        ("", "wanted", "found", "holds"),
        (
            (one.what, one.wanted, _or_dash(one.found, one.form), one.verdict)
            for one in targets(results)
        ),
    )
    yield f"\n![CPU time per request]({plot_file})"
    yield "\n## Requests"
    for name in results["scenarios"]:
        yield from _scenario(results, name)
    yield from _scaling(results)
    if results.get("starts"):
        yield from _starts(results)
    if results.get("caches"):
        yield from _caches(results)


def _machine(results: Json) -> Iterator[str]:
    machine, load = results["machine"], results["load_average"]
    yield "\n## Measured on\n"
    yield from _table(
        ("", ""),
        (
            (
                "machine",
                f"{machine['cpu']}, {machine['cores']} cores, "
                f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['kernel']}",
            ),
            ("versions", f"Envoy {machine['envoy']}, wrk {machine['wrk']}"),
            (
                "module",
                f"{machine['module_bytes']:,} bytes, SHA-256 `{machine['module_sha256']}`",
            ),
            (
                "run",
                f"{machine['date']}, {results['rounds']} rounds of {results['seconds']} s, "
                f"load average {load['begin']:.1f} before and {load['end']:.1f} after",
            ),
        ),
    )


def _scenario(results: Json, name: str) -> Iterator[str]:
    scenario = results["scenarios"][name]
    titles = results["contenders"]
    contenders = list(scenario["samples"])
    bases = [one for one in contenders if not one.startswith(("ours", "floor"))]
    title = scenario["title"]
    yield f"\n### {title[0].upper()}{title[1:]}\n"
    rows = []
    for contender in contenders:
        cpu = values(results, name, contender)
        row = [titles[contender], figure(cpu).text(_one_place)]
        for base in bases:
            found = each_round(ratio, cpu, values(results, name, base))
            row.append("1" if base == contender else _or_dash(found, two_places))
        for member, form in (
            ("requests_per_second", _whole),
            ("p50_us", _milliseconds),
            ("p99_us", _milliseconds),
        ):
            row.append(figure(values(results, name, contender, member)).text(form))
        rows.append(row)
    yield from _table(
        (
            "",
            "CPU µs/request",
            *(f"to {titles[base]}" for base in bases),
            "requests/s",
            "p50 ms",
            "p99 ms",
        ),
        rows,
    )


def _scaling(results: Json) -> Iterator[str]:
    rows = []
    for one, title in (("one-token", "one token"), ("new-RS256", "every token new, RS256")):
        for contender, named in results["contenders"].items():
            found = [
                each_round(
                    ratio,
                    values(results, f"{one}-{workers}-workers", contender, "requests_per_second"),
                    values(results, one, contender, "requests_per_second"),
                )
                for workers in WORKERS[1:]
            ]
            if any(found):
                rows.append([title, named, *(_or_dash(cell, two_places) for cell in found)])
    if rows:
        yield "\n## More workers\n"
        yield (
            "Throughput in multiples of that with one worker. Where a machine has no more cores "
            "than workers, Envoy and the load share them."
        )
        yield ""
        yield from _table(("", "", *(_workers(workers) for workers in WORKERS[1:])), rows)


def _starts(results: Json) -> Iterator[str]:
    contenders = list(dict.fromkeys(one["contender"] for one in results["starts"]))
    yield "\n## Memory and start-up\n"
    yield (
        "Resident memory of the process once each worker has answered, and the time from its start "
        "to the first answer."
    )
    yield ""
    rows = []
    for contender in contenders:
        per_worker = None if contender == "none" else memory_per_worker(results, contender)
        rows.append(
            [
                results["contenders"][contender],
                *(
                    figure(resident(results, contender, workers)).text(mebibytes)
                    for workers in WORKERS
                ),
                _or_dash(per_worker, mebibytes),
                *(
                    f"{figure(resident(results, contender, workers, 'seconds')).median:.2f} s"
                    for workers in WORKERS
                ),
            ]
        )
    yield from _table(
        (
            "",
            *(f"{_workers(workers)}" for workers in WORKERS),
            "added per further worker",
            *(f"start, {_workers(workers)}" for workers in WORKERS),
        ),
        rows,
    )


def _caches(results: Json) -> Iterator[str]:
    yield "\n## Memory for each token seen\n"
    yield (
        "How much one worker's process grows with new RS256 tokens. Where a module has no cache, "
        "nothing is kept."
    )
    yield ""
    contenders = list(dict.fromkeys(one["contender"] for one in results["caches"]))
    rows = []
    for contender in contenders:
        own = [one for one in results["caches"] if one["contender"] == contender]
        rows.append(
            (
                results["contenders"][contender],
                f"{min(one['tokens'] for one in own):,}",
                f"{room:,}" if (room := results["cached_tokens"][contender]) else "default",
                figure([one["bytes_per_token"] for one in own]).text(_whole),
            )
        )
    yield from _table(("", "tokens", "room in its cache", "bytes per token"), rows)


def _table(
    head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]
) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _or_dash(found: Figure | None, form: Callable[[float], str]) -> str:
    return "-" if found is None else found.text(form)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _one_place(value: float) -> str:
    return f"{value:.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _milliseconds(microseconds: float) -> str:
    return f"{microseconds / 1000:.2f}"
