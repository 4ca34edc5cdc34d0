"""An Envoy with one of the files under envoy/, its addresses replaced by those of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import http1, paths
from .processes import Child
from .waiting import until

FOLDER = paths.REPOSITORY / "envoy"


def adapted(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"{old} is no longer in the example"
        text = text.replace(old, new)
    return text


def commented(text: str) -> str:
    """The YAML of a secret that stands in the comment at the top."""
    found = re.search(r"^#   resources:\n(?:#   .*\n)+", text, re.MULTILINE)
    assert found is not None
    return re.sub(r"^#   ", "", found[0], flags=re.MULTILINE)


@dataclass(frozen=True)
class Running:
    port: int
    admin: int
    child: Child

    def access_log(self) -> list[dict[str, Any]]:
        """Written within 20 ms."""
        lines = self.child.stdout_path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose name matches the regular expression."""
        answer = http1.request(self.admin, "GET", f"/stats?format=json&filter={pattern}").json()
        return {one["name"]: one["value"] for one in answer["stats"] if "name" in one}


@contextmanager
def started(text: str, directory: Path, *arguments: str) -> Iterator[Running]:
    file = directory / "envoy.yaml"
    file.write_text(text)
    admin_address = directory / "admin.address"
    with Child(
        "envoy",
        [
            paths.envoy_binary(),
            "--config-path", file,
            "--config-yaml",
            '{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}',
            "--admin-address-path", admin_address,
            "--disable-hot-restart",
            "--concurrency", "1",
            "--file-flush-interval-msec", "20",
            "--drain-time-s", "2",
            "--parent-shutdown-time-s", "3",
            "--log-level", "warning",
            *arguments,
        ],
        directory,
    ) as envoy:  # fmt: skip

        def admin_port() -> int | None:
            envoy.check()
            text = admin_address.read_text() if admin_address.exists() else ""
            return int(text.rpartition(":")[2]) if text.strip() else None

        admin = until(admin_port, "Envoy's admin address", timeout=60)

        def port() -> int | None:
            envoy.check()
            try:
                if http1.request(admin, "GET", "/ready").status != 200:
                    return None
                answer = http1.request(admin, "GET", "/listeners?format=json").json()
            except OSError:
                return None  # about to end: the next check says why
            statuses = answer.get("listener_statuses")
            return (
                statuses[0]["local_address"]["socket_address"]["port_value"] if statuses else None
            )

        yield Running(until(port, "Envoy's listener", timeout=60), admin, envoy)
