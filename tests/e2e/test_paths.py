"""No spelling of a protected path reaches a protected handler without a token.

Every attack of `cases/path_attacks.json` goes through a real Envoy, with and without Envoy's own
normalisation, to a server that takes paths literally and to one that reads them leniently.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import http1
from support.bootstrap import Listener
from support.cases import CASES, config
from support.envoy import Envoy
from support.handlers import Handlers, reads_leniently, reads_literally

ATTACKS: dict[str, Any] = json.loads((CASES / "path_attacks.json").read_text())
SERVERS = ("literal", "lenient")
NORMALISATION = (False, True)
HOST = "mcp.example.com"


@pytest.fixture(scope="module")
def envoy(wasm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    with Handlers(reads_literally) as literal, Handlers(reads_leniently) as lenient:
        listeners = {
            f"{server}-{normalise}": Listener(
                wasm=wasm,
                configuration=config("one").filter,
                upstream=server,
                normalize_path=normalise,
                merge_slashes=normalise,
            )
            for server, normalise in itertools.product(SERVERS, NORMALISATION)
        }
        running = Envoy(
            tmp_path_factory.mktemp("paths"),
            listeners,
            {"literal": literal.port, "lenient": lenient.port},
        )
        yield running
        running.stop()


def reached(envoy: Envoy, server: str, normalise: bool, path: str) -> str:
    """Which handler a request without a token has reached, or the status if none."""
    port = envoy.ports[f"{server}-{normalise}"]
    try:
        response = http1.request(port, "GET", path.encode("latin-1"), host=HOST)
    except ConnectionError:
        return "closed"
    return response.body.decode() if response.status == 200 else str(response.status)


@pytest.mark.parametrize("normalise", NORMALISATION, ids=["as-sent", "normalised"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("family", sorted({attack["family"] for attack in ATTACKS["attacks"]}))
def test_no_spelling_gets_in(envoy: Envoy, server: str, normalise: bool, family: str) -> None:
    for attack in ATTACKS["attacks"]:
        if attack["family"] == family:
            outcome = reached(envoy, server, normalise, attack["path"])
            assert outcome in {"400", "401", "404", "closed", "public"}, attack


@pytest.mark.parametrize("server", SERVERS)
def test_without_envoys_normalisation_the_filter_itself_refuses(envoy: Envoy, server: str) -> None:
    for attack in ATTACKS["attacks"]:
        assert reached(envoy, server, False, attack["path"]) in {"400", "401", "closed"}, attack


@pytest.mark.parametrize("normalise", NORMALISATION, ids=["as-sent", "normalised"])
@pytest.mark.parametrize("server", SERVERS)
def test_plain_paths_are_asked_for_a_token(envoy: Envoy, server: str, normalise: bool) -> None:
    for path in ATTACKS["exact"]:
        assert reached(envoy, server, normalise, path) == "401", path


@pytest.mark.parametrize("normalise", NORMALISATION, ids=["as-sent", "normalised"])
def test_a_suffix_is_asked_for_a_token(envoy: Envoy, normalise: bool) -> None:
    for path in ATTACKS["suffixed"]:
        assert reached(envoy, "literal", normalise, path) == "401", path


@pytest.mark.parametrize("normalise", NORMALISATION, ids=["as-sent", "normalised"])
def test_ordinary_paths_pass(envoy: Envoy, normalise: bool) -> None:
    paths = json.loads((CASES / "paths_ordinary.json").read_text())
    for path in paths["measured"] + paths["others"]:
        assert reached(envoy, "literal", normalise, path) == "public", path


def test_there_are_enough_attacks() -> None:
    """And the lenient server is lenient: it would serve most of them."""
    paths = [attack["path"] for attack in ATTACKS["attacks"]]
    assert len(paths) == len(set(paths)) >= 200
    assert sum(map(reads_leniently, paths)) >= 200
