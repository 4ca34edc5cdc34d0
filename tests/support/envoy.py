"""A supervised Envoy: start, readiness, statistics, access log, live listener updates."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from . import bootstrap, paths
from .bootstrap import Json, Listener
from .processes import Child
from .waiting import until


class UpdateRejected(RuntimeError):
    """Envoy refused a listener update; the message is the end of its log."""


class Envoy:
    """One Envoy process with one or more listeners.

    With `dynamic`, listeners come from a watched file, and `update` replaces them.
    """

    def __init__(
        self,
        directory: Path,
        listeners: Mapping[str, Listener],
        clusters: Mapping[str, int],
        *,
        concurrency: int = 1,
        dynamic: bool = False,
        drain_seconds: int = 2,
        log_level: str = "warning,wasm:info",
        extra_clusters: Sequence[Json] = (),
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """`more`: top-level fields of the bootstrap, such as `stats_config`."""
        directory.mkdir(parents=True, exist_ok=True)
        self.concurrency = concurrency
        self._directory = directory
        self._access_log = directory / "access.log"
        self._lds = directory / "lds" / "listeners.json" if dynamic else None
        resources = self._resources(listeners)
        if self._lds is not None:
            self._lds.parent.mkdir(exist_ok=True)
            self._lds.write_text(json.dumps(bootstrap.discovery_response(resources)))
        made = bootstrap.bootstrap(
            [bootstrap.cluster(name, port) for name, port in clusters.items()]
            + list(extra_clusters),
            self._lds if self._lds is not None else resources,
        )
        made.update(more or {})
        file = directory / "bootstrap.json"
        file.write_text(json.dumps(made, indent=1))
        admin_address = directory / "admin.address"
        admin_address.unlink(missing_ok=True)
        self._child = Child(
            "envoy",
            [
                paths.envoy_binary(),
                "--config-path", file,
                "--disable-hot-restart",
                "--concurrency", str(concurrency),
                "--admin-address-path", admin_address,
                "--file-flush-interval-msec", "20",
                "--drain-time-s", str(drain_seconds),
                "--parent-shutdown-time-s", str(drain_seconds + 1),
                *_log_levels(log_level),
            ],
            directory,
        )  # fmt: skip
        try:
            self._wait_until_ready(admin_address, set(listeners))
        except BaseException:
            self._child.stop()
            raise

    def _wait_until_ready(self, admin_address: Path, names: set[str]) -> None:
        def admin_port() -> int | None:
            self._child.check()
            text = admin_address.read_text() if admin_address.exists() else ""
            return int(text.rpartition(":")[2]) if text.strip() else None

        self.admin_port = until(admin_port, "Envoy's admin address", timeout=120)

        def ready() -> bool:
            self._child.check()
            try:
                return self.admin("/ready")[0] == 200
            except OSError:
                return False  # about to end: the next check says why

        until(ready, "Envoy to be ready", timeout=120)
        self.ports = until(lambda: self._ports(names), "Envoy's listeners", timeout=120)

    def _ports(self, names: set[str]) -> dict[str, int] | None:
        self._child.check()
        status, text = self.admin("/listeners?format=json")
        found = (
            {
                one["name"]: one["local_address"]["socket_address"]["port_value"]
                for one in json.loads(text).get("listener_statuses", [])
            }
            if status == 200
            else {}
        )
        return found if names <= found.keys() else None

    def _resources(self, listeners: Mapping[str, Listener]) -> list[Json]:
        return [
            bootstrap.listener_resource(name, one, self._access_log)
            for name, one in listeners.items()
        ]

    @property
    def port(self) -> int:
        """The port of the only (or first) listener."""
        return next(iter(self.ports.values()))

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def directory(self) -> Path:
        return self._directory

    def log(self) -> str:
        return self._child.log()

    def check(self) -> None:
        """Raises if Envoy has ended."""
        self._child.check()

    def admin(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose name matches the regular expression."""
        _, text = self.admin(f"/stats?format=json&filter={pattern}")
        return {
            one["name"]: one["value"]
            for one in json.loads(text)["stats"]
            if isinstance(one.get("value"), int)
        }

    def stat(self, name: str) -> int:
        return self.stats("^" + name.replace(".", "[.]") + "$").get(name, 0)

    def access_log(self) -> list[dict[str, Any]]:
        """The requests logged so far; Envoy writes them within 20 ms of their end."""
        if not self._access_log.exists():
            return []
        lines = self._access_log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line]

    def logged(self, test_id: str, timeout: float = 5.0) -> dict[str, Any]:
        """The access log's line for one request."""
        return until(
            lambda: next((one for one in self.access_log() if one["test_id"] == test_id), None),
            f"the access log line of {test_id}",
            timeout=timeout,
        )

    def update(self, listeners: Mapping[str, Listener], timeout: float = 10.0) -> None:
        """Replaces the listeners while Envoy runs; returns once Envoy has taken them."""
        assert self._lds is not None, "only an Envoy made with dynamic=True takes updates"
        before = self._lds_counters()
        # A rename is the one change that Envoy's watcher sees as a whole.
        written = self._directory / "listeners.next.json"
        written.write_text(json.dumps(bootstrap.discovery_response(self._resources(listeners))))
        os.replace(written, self._lds)

        def outcome() -> str | None:
            after = self._lds_counters()
            if after["rejected"] > before["rejected"]:
                return "rejected"
            return "success" if after["success"] > before["success"] else None

        if until(outcome, "the listener update", timeout=timeout) == "rejected":
            raise UpdateRejected("\n".join(self.log().splitlines()[-10:]))
        until(
            lambda: self.stat("listener_manager.total_listeners_warming") == 0,
            "the new listeners to be warm",
            timeout=timeout,
        )
        self.ports = until(lambda: self._ports(set(listeners)), "the listeners", timeout=timeout)

    def _lds_counters(self) -> dict[str, int]:
        return {
            outcome: self.stat(f"listener_manager.lds.update_{outcome}")
            for outcome in ("success", "rejected")
        }

    def stop(self) -> None:
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def validate(directory: Path, listener: Listener, clusters: Mapping[str, int]) -> tuple[int, str]:
    """`envoy --mode validate`: its exit status and everything it said."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "bootstrap.json"
    made = bootstrap.bootstrap(
        [bootstrap.cluster(name, port) for name, port in clusters.items()],
        [bootstrap.listener_resource("mcp", listener, directory / "access.log")],
    )
    file.write_text(json.dumps(made))
    done = subprocess.run(
        [paths.envoy_binary(), "--mode", "validate", "--config-path", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def _log_levels(text: str) -> list[str]:
    """`warning,wasm:info` as Envoy's two options."""
    level, _, components = text.partition(",")
    options = ["--log-level", level]
    return [*options, "--component-log-level", components] if components else options
