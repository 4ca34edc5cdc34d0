"""The steps of docs/operations.md, done under traffic: roll out, switch off, upgrade, roll back."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import envoy as envoys
from support import http1, paths, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.key_server import KeyServer
from support.recorder import Recorder, new_test_id
from support.waiting import until

Json = dict[str, Any]

ISSUER, RESOURCE = "https://auth.example.com", "https://mcp.example.com/mcp"
# Longer than the whole suite takes.
LASTING = {"exp": {"$now": 7200}}
GOOD = tokens.mint(defaults={"iss": ISSUER, "aud": RESOURCE, "scope": "mcp:read", **LASTING})
ENFORCE: Json = {
    "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(["rsa-1"])}],
    "resources": [{"resource": RESOURCE, "scopes": ["mcp:read"]}],
}
OBSERVE: Json = {"mode": "observe", **ENFORCE}
OFF: Json = {"enabled": False, **ENFORCE}


class Traffic:
    """A request with a token and one without, again and again, each on a connection of its own."""

    def __init__(self, port: int, token: str = GOOD) -> None:
        self._port = port
        self._token = token
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, int]] = Counter()
        self._lost: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            for name, token in (("good", self._token), ("none", None)):
                try:
                    status = http1.get(self._port, "/mcp", token).status
                except OSError as error:
                    self._lost.append(repr(error))
                    continue
                with self._lock:
                    self._seen[name, status] += 1

    def all(self) -> Counter[tuple[str, int]]:
        with self._lock:
            return self._seen.copy()

    def becomes(self, *, good: int | set[int], none: int) -> None:
        """Waits until a good token and none are answered so, and so alone.

        A worker hears of an update a moment after Envoy has taken it.
        """
        allowed = good if isinstance(good, set) else {good}

        def recent() -> bool:
            before = self.all()
            until(lambda: (self.all() - before).total() >= 20, "20 more requests")
            seen = set(self.all() - before)
            return all(status in (allowed if name == "good" else {none}) for name, status in seen)

        until(recent, f"{allowed} for a good token, and {none} without")

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        assert not self._lost, self._lost


@contextlib.contextmanager
def started(
    directory: Path, listener: Listener, clusters: dict[str, int], *, drain_seconds: int = 20
) -> Iterator[Envoy]:
    """At the end of that time Envoy cuts off who is left on an old listener, filter or not."""
    with Envoy(
        directory,
        {"mcp": listener},
        clusters,
        concurrency=2,
        dynamic=True,
        drain_seconds=drain_seconds,
    ) as running:
        yield running


def counters(envoy: Envoy, *parts: str) -> dict[str, int]:
    """The filter's counters whose name has all these parts, as they are at one moment."""
    stats = envoy.stats("^wasmcustom[.]mcp_auth_")
    return {name: value for name, value in stats.items() if all(part in name for part in parts)}


def counted(envoy: Envoy, *parts: str) -> int:
    return sum(counters(envoy, *parts).values())


def grows(envoy: Envoy, *parts: str) -> None:
    """Counters are told to Envoy once a second."""
    before = counted(envoy, *parts)
    until(lambda: counted(envoy, *parts) > before, f"{parts} to be counted")


def mark(envoy: Envoy, token: str | None) -> Any:
    test_id = new_test_id()
    http1.get(envoy.port, "/mcp", token, [("x-test-id", test_id)])
    return envoy.logged(test_id)["mark"]


def test_observe_then_enforce_then_off_and_back(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    def listener(configuration: Json) -> Listener:
        return Listener(wasm=wasm, configuration=configuration)

    with (
        started(tmp_path, listener(OBSERVE), {"upstream": recorder.port}) as envoy,
        Traffic(envoy.port) as traffic,
    ):
        # Everything passes; the counter of refusals says what would not.
        traffic.becomes(good=200, none=200)
        grows(envoy, "requests_total", "decision=observe")
        grows(envoy, "requests_total", "decision=allow")
        grows(envoy, "refused_total", "reason=credentials_missing", f"resource={RESOURCE}")
        assert counted(envoy, "decision=refuse") == 0
        assert (mark(envoy, GOOD), mark(envoy, None)) == ("allow", "observe")

        envoy.update({"mcp": listener(ENFORCE)})
        traffic.becomes(good=200, none=401)
        grows(envoy, "requests_total", "decision=refuse")
        grows(envoy, "refused_total", "reason=credentials_missing")

        envoy.update({"mcp": listener(OFF)})
        traffic.becomes(good=200, none=200)
        grows(envoy, "requests_total", "decision=off")
        assert (mark(envoy, GOOD), mark(envoy, None)) == ("off", "off")
        refused = counted(envoy, "refused_total")

        envoy.update({"mcp": listener(ENFORCE)})
        traffic.becomes(good=200, none=401)
        # Counters outlive updates, and stood still meanwhile.
        grows(envoy, "refused_total")
        assert counted(envoy, "refused_total") > refused
        assert all("reason=credentials_missing" in name for name in counters(envoy, "reason="))
    traffic.check()


def test_the_kill_switch_vouches_for_nobody(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """Off is off: the server gets the client's own copies of the identity headers."""
    listener = Listener(wasm=wasm, configuration=OFF)
    with started(tmp_path, listener, {"upstream": recorder.port}) as envoy:
        test_id = new_test_id()
        headers = [("x-test-id", test_id), ("x-mcp-sub", "mallory")]
        assert http1.get(envoy.port, "/mcp", GOOD, headers).status == 200
        assert recorder.one(test_id).all("x-mcp-sub") == ["mallory"]


@pytest.mark.parametrize("forwards", [False, True])
def test_observing_takes_good_tokens_away_unless_they_are_forwarded(
    forwards: bool, wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """A server that checks tokens itself needs `forward_token`, from the first day on."""
    made = {**OBSERVE, "resources": [{**OBSERVE["resources"][0], "forward_token": forwards}]}
    listener = Listener(wasm=wasm, configuration=made)
    with started(tmp_path, listener, {"upstream": recorder.port}) as envoy:
        test_id = new_test_id()
        assert http1.get(envoy.port, "/mcp", GOOD, [("x-test-id", test_id)]).status == 200
        expected = [f"Bearer {GOOD}"] if forwards else []
        assert recorder.one(test_id).all("authorization") == expected


def test_an_interlock_for_good_tokens_alone_stops_those_who_are_observed(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """Who left `observe` out of the interlock has to add it before observing; so it is with `off`."""
    listener = Listener(wasm=wasm, configuration=OBSERVE, marks=["allow"])
    with started(tmp_path, listener, {"upstream": recorder.port}) as envoy:
        assert http1.get(envoy.port, "/mcp", GOOD).status == 200
        assert http1.get(envoy.port, "/mcp").status == 403
        off = Listener(wasm=wasm, configuration=OFF, marks=["allow"])
        envoy.update({"mcp": off})
        assert http1.get(envoy.port, "/mcp", GOOD).status == 403


def test_open_connections_keep_the_old_rules_until_they_are_drained(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """Envoy's own: new connections have the new configuration at once, open ones are drained."""

    def status(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", "/mcp")
        response = connection.getresponse()
        response.read()
        return response.status

    with started(
        tmp_path,
        Listener(wasm=wasm, configuration=ENFORCE),
        {"upstream": recorder.port},
        drain_seconds=600,
    ) as envoy:
        old = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)
        with contextlib.closing(old):
            assert status(old) == 401
            kept = old.sock
            envoy.update({"mcp": Listener(wasm=wasm, configuration=OFF)})
            assert http1.get(envoy.port, "/mcp").status == 200
            # Draining, Envoy may end any connection with its next answer, but seldom so early.
            assert old.sock is kept, "it is still the old connection"
            assert status(old) == 401


def other_module(wasm: Path, directory: Path) -> Path:
    """The same module with a custom section more: other bytes, and so another VM."""
    made = directory / "other.wasm"
    content = b"\x05other"
    made.write_bytes(wasm.read_bytes() + bytes([0, len(content)]) + content)
    return made


def test_a_module_is_replaced_and_rolled_back_under_traffic(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """By a live update that names another file. Keys are where the other module left them."""
    with KeyServer([tokens.public_jwk("rsa-1")]) as keys:
        configuration = {
            "issuers": [{"issuer": keys.issuer, "cluster": "keys"}],
            "resources": [{"resource": RESOURCE, "scopes": ["mcp:read"]}],
        }
        token = tokens.mint(defaults={"iss": keys.issuer, "aud": RESOURCE, "scope": "mcp:read"})
        old = Listener(wasm=wasm, configuration=configuration)
        new = Listener(wasm=other_module(wasm, tmp_path), configuration=configuration)
        clusters = {"upstream": recorder.port, "keys": keys.port}
        with (
            started(tmp_path / "envoy", old, clusters) as envoy,
            Traffic(envoy.port, token) as traffic,
        ):
            traffic.becomes(good=200, none=401)
            for listener in (new, old):
                envoy.update({"mcp": listener})
                traffic.becomes(good=200, none=401)
        traffic.check()
        assert set(traffic.all()) == {("good", 200), ("none", 401)}
        assert keys.fetches() == 1, "modules with one vm_id share their keys"


def test_another_timing_fetches_the_keys_at_once(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """For a key that must be gone now: a changed timing does not take over what was fetched."""
    with KeyServer([tokens.public_jwk("rsa-1")]) as keys:

        def listener(refresh: int) -> Listener:
            issuer = {
                "issuer": keys.issuer,
                "cluster": "keys",
                "keys": {"refresh_seconds": refresh},
            }
            return Listener(
                wasm=wasm,
                configuration={"issuers": [issuer], "resources": [{"resource": RESOURCE}]},
            )

        token = tokens.mint(defaults={"iss": keys.issuer, "aud": RESOURCE})
        clusters = {"upstream": recorder.port, "keys": keys.port}
        with (
            started(tmp_path, listener(600), clusters) as envoy,
            Traffic(envoy.port, token) as traffic,
        ):
            traffic.becomes(good=200, none=401)
            keys.keys = [tokens.public_jwk("rsa-2")]
            traffic.becomes(good=200, none=401)
            envoy.update({"mcp": listener(599)})
            # 503 from a worker that may not ask again so soon whether the key is a new one.
            traffic.becomes(good={401, 503}, none=401)
        traffic.check()


def test_a_module_that_does_not_know_a_field_keeps_the_old_configuration(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """Why the module comes first, and its new fields after: what an older module does with them."""
    newer = {**ENFORCE, "field_of_a_later_version": True}
    with (
        started(
            tmp_path, Listener(wasm=wasm, configuration=ENFORCE), {"upstream": recorder.port}
        ) as envoy,
        Traffic(envoy.port) as traffic,
    ):
        with pytest.raises(envoys.UpdateRejected, match="field_of_a_later_version"):
            envoy.update({"mcp": Listener(wasm=wasm, configuration=newer)})
        traffic.becomes(good=200, none=401)
        assert envoy.stat("listener_manager.lds.update_rejected") == 1
    traffic.check()


CONFIGURATIONS = sorted((paths.REPOSITORY / "tests" / "configurations").glob("*/*.json"))


@pytest.mark.parametrize(
    "file", CONFIGURATIONS, ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_an_older_configuration_loads(file: Path, wasm: Path, tmp_path: Path) -> None:
    listener = Listener(wasm=wasm, configuration=json.loads(file.read_text()))
    status, output = envoys.validate(tmp_path, listener, {"upstream": 9})
    assert status == 0, output
