"""Four workers start, and requests are there at once."""

from __future__ import annotations

from pathlib import Path

from .. import stage
from ..control import Lane
from ..load import Load, refused
from ..report import Report
from ..signing import SigningKey

_ROUNDS = 3
_SLOW_SECONDS = 0.7
_CONNECTIONS = 256
_ISSUERS = 20


def run(report: Report, directory: Path) -> None:
    _one_issuer(report, directory)
    _many_issuers(report, directory)


def _one_issuer(report: Report, directory: Path) -> None:
    for name, delay in (("keys at once", 0.0), (f"keys after {_SLOW_SECONDS:g} s", _SLOW_SECONDS)):
        documents, keys, bad, total = [], [], 0, 0
        for _ in range(_ROUNDS):
            signing = SigningKey()
            with stage.key_server(signing) as server:
                server.behave(delay_seconds=delay)
                issuer = stage.issuer(server)
                del issuer["jwks_uri"]  # found by discovery
                one = stage.listener(stage.configuration(issuer))
                with (
                    stage.envoy(directory, one, {"keys": server}) as envoy,
                    Load(
                        directory,
                        envoy.port,
                        [signing.lane(server.issuer)],
                        rate=1000,
                        connections=_CONNECTIONS,
                    ) as load,
                ):
                    load.until_more(1500)
                    report.say(f"connections of the workers: {stage.connections_of_workers(envoy)}")
                    samples = load.stop()
                    bad += len(refused(samples))
                    total += len(samples)
                    if refused(samples):
                        report.say(load.summary(samples))
                fetched = server.fetched()
                keys.append(fetched.pop(server.jwks_path, 0))
                documents.append(sum(fetched.values()))
        report.figure(
            f"{name}: fetches of keys, each of {_ROUNDS} starts",
            ", ".join(map(str, keys)),
            "1",
            held=set(keys) == {1},
        )
        report.figure(
            f"{name}: fetches of metadata",
            ", ".join(map(str, documents)),
            "1",
            held=set(documents) == {1},
        )
        report.figure(f"{name}: refused", f"{bad} of {total}", "0", held=bad == 0)


def _many_issuers(report: Report, directory: Path) -> None:
    """What one issuer costs does not depend on what others there are."""
    signing = SigningKey()
    with stage.key_server(signing) as server:
        issuers, lanes = [], []
        for number in range(_ISSUERS):
            name = f"{server.origin}/issuer-{number}"
            issuers.append({**stage.issuer(server, query=f"?issuer={number}"), "issuer": name})
            lanes.append(Lane(signing.token(name)))
        one = stage.listener(stage.configuration(*issuers))
        with (
            stage.envoy(directory, one, {"keys": server}) as envoy,
            Load(directory, envoy.port, lanes, rate=1000, connections=_CONNECTIONS) as load,
        ):
            load.until_more(1500)
            samples = load.stop()
        counts = sorted(server.fetched().values(), reverse=True)
    report.figure(
        f"{_ISSUERS} issuers: fetches of keys, each issuer",
        ", ".join(map(str, counts)),
        "1",
        held=counts == [1] * _ISSUERS,
    )
    report.figure(
        f"{_ISSUERS} issuers: refused",
        f"{len(refused(samples))} of {len(samples)}",
        "0",
        held=not refused(samples),
    )
