"""A real Prometheus that scrapes what a test starts, and the checks of its `promtool`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from . import http1, paths
from .processes import Child
from .waiting import until

Json = dict[str, Any]


def binary(name: str) -> Path:
    """`prometheus` or `promtool`: on PATH, or as scripts/prometheus has unpacked it."""
    found = shutil.which(name) or shutil.which(name, path=str(paths.TOOLS / "prometheus"))
    assert found, f"no {name}: run scripts/prometheus"
    return Path(found)


def promtool(*arguments: str | Path) -> str:
    """Returns its output; AssertionError if it finds fault."""
    done = subprocess.run(
        [binary("promtool"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Prometheus:
    """Scrapes Envoys' admin ports by name; `rules` are evaluated as often as it scrapes."""

    def __init__(
        self,
        directory: Path,
        admin_ports: Mapping[str, int],
        *,
        job: str = "envoy",
        interval: str = "1s",
        rules: Sequence[Path] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        configuration = {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [str(file) for file in rules],
            "scrape_configs": [
                {
                    "job_name": job,
                    "metrics_path": "/stats/prometheus",
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}
                        for name, port in admin_ports.items()
                    ],
                }
            ],
        }
        file = directory / "prometheus.json"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        self._child = Child(
            "prometheus",
            [
                binary("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            directory,
        )
        try:
            self.port = until(self._listens, "Prometheus to listen", timeout=30)
            until(self._is_ready, "Prometheus to be ready", timeout=30)
        except BaseException:
            self._child.stop()
            raise

    def _listens(self) -> int | None:
        self._child.check()
        found = re.search(r'msg="Listening on" address=\S+:(\d+)', self._child.log())
        return int(found[1]) if found else None

    def _is_ready(self) -> bool:
        self._child.check()
        return http1.request(self.port, "GET", "/-/ready").status == 200

    def _get(self, path: str, **parameters: str) -> Any:
        answer = http1.request(self.port, "GET", f"{path}?{urlencode(parameters)}").json()
        assert answer["status"] == "success", (answer.get("error"), parameters)
        return answer["data"]

    def query(self, expression: str) -> list[Json]:
        """The series of an instant query, each with `metric` and `value`."""
        data = self._get("/api/v1/query", query=expression)
        return data["result"] if data["resultType"] == "vector" else [data]

    def query_range(
        self, expression: str, start: float, end: float, step: float = 1.0
    ) -> list[Json]:
        """The series, each with `metric` and `values`: pairs of time and text."""
        return self._get(
            "/api/v1/query_range",
            query=expression,
            start=f"{start:.3f}",
            end=f"{end:.3f}",
            step=f"{step:g}",
        )["result"]

    def label_names(self, metric: str) -> set[str]:
        return set(self._get("/api/v1/labels", **{"match[]": metric}))

    def metric_names(self) -> set[str]:
        return set(self._get("/api/v1/label/__name__/values"))

    def rules(self) -> list[Json]:
        return [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def scrapes(self) -> int:
        """The number of scrapes of every target that have been kept."""
        found = self.query("min(count_over_time(up[1h]))")
        return int(found[0]["value"][1]) if found else 0

    def wait_for_scrapes(self, count: int) -> None:
        """Until so many more have come."""
        wanted = self.scrapes() + count
        until(
            lambda: self.scrapes() >= wanted,
            f"{count} scrapes",
            timeout=30 + 2 * count,
            interval=0.2,
        )

    def stop(self) -> None:
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
