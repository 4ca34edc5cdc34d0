"""Real servers behind a real Envoy with the filter: no spelling of a protected path gets in.

Each server has a protected handler at /mcp and a public rest, and routes and interlock let pass what
is of no resource: the filter alone stands before the handler. scripts/servers brings them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import volley, web_servers
from support.bootstrap import Listener
from support.cases import CASES, config
from support.envoy import Envoy
from support.spellings import SEED, spellings

GENERATED = 3000
# How Envoy reads a path before the filter does.
READINGS = ("as sent", "normalised", "unescaped")
_NORMALISED = {"normalize_path": True, "merge_slashes": True}
NORMALISES = {"as sent": {}, "normalised": _NORMALISED, "unescaped": _NORMALISED}
_UNESCAPED = {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}
ESCAPED = {"as sent": {}, "normalised": {}, "unescaped": _UNESCAPED}
# In how many spellings at least each server does recognise /mcp, asked without Envoy.
LENIENT = 40


def targets() -> list[bytes]:
    attacks = json.loads((CASES / "path_attacks.json").read_text())
    listed = [one["path"] for one in attacks["attacks"]] + attacks["exact"]
    listed += json.loads((CASES / "paths_as_read.json").read_text())["reach"]
    known = [one.encode("latin-1") for one in listed if " " not in one]
    return list(dict.fromkeys([*spellings(GENERATED), *known]))


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int | str]]:
    """The port of each server, or why it is not there."""
    directory = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        found: dict[str, int | str] = {}
        for name in web_servers.SERVERS:
            try:
                found[name] = stack.enter_context(web_servers.running(name, directory / name))
            except pytest.skip.Exception as skipped:
                found[name] = str(skipped)
        yield found


@pytest.fixture(scope="module")
def envoy(
    wasm: Path, ports: dict[str, int | str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    clusters = {name: port for name, port in ports.items() if isinstance(port, int)}
    listeners = {
        f"{name}, {reading}": Listener(
            wasm=wasm,
            configuration=config("one").filter,
            upstream=name,
            # Envoy ends a connection so long after a path that it does not like: a second, else.
            manager={"delayed_close_timeout": "0.02s", **ESCAPED[reading]},
            **NORMALISES[reading],
        )
        for name, reading in itertools.product(clusters, READINGS)
    }
    with Envoy(tmp_path_factory.mktemp("envoy"), listeners, clusters, concurrency=2) as running:
        yield running


def reached(port: int, sent: list[bytes]) -> list[bytes]:
    """Of these targets, those that have reached the protected handler without a token."""
    answers = volley.volley(volley.plain(port), [volley.request(one) for one in sent])
    return [one for one, answer in zip(sent, answers, strict=True) if answer.body == b"protected"]


@pytest.mark.parametrize("name", web_servers.SERVERS)
def test_no_spelling_reaches_the_handler(
    name: str, ports: dict[str, int | str], envoy: Envoy
) -> None:
    port = ports[name]
    if isinstance(port, str):
        pytest.skip(port)
    sent = targets()
    assert len(sent) >= GENERATED
    direct = reached(port, sent)
    through = {reading: reached(envoy.ports[f"{name}, {reading}"], sent) for reading in READINGS}
    counts = ", ".join(f"{reading} {len(got)}" for reading, got in through.items())
    print(f"{name}: {len(sent)} spellings (seed {SEED}), without Envoy {len(direct)}; {counts}")
    assert not any(through.values()), through
    assert len(direct) >= LENIENT, "the test would show nothing"


@pytest.mark.parametrize("name", web_servers.SERVERS)
def test_the_rest_is_public(name: str, ports: dict[str, int | str], envoy: Envoy) -> None:
    """And so, what is refused above is refused by the filter."""
    if isinstance(ports[name], str):
        pytest.skip(str(ports[name]))
    sent = [volley.request(one) for one in (b"/", b"/x", b"/mcpx", b"/mcp-x/y")]
    for reading in READINGS:
        answers = volley.volley(volley.plain(envoy.ports[f"{name}, {reading}"]), sent)
        assert [one.body for one in answers] == [b"public"] * len(sent)
