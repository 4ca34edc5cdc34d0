"""A Docker engine: the one that is here, or Debian's, started for this run alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from support.waiting import until


class EngineFailed(RuntimeError):
    """A command of the engine failed; carries what it said."""


class Engine:
    """Runs commands against one engine; with `own`, starts it, and ends it with this object."""

    def __init__(self, *, own: bool, data: Path) -> None:
        self.environment = dict(os.environ)
        self._daemon: subprocess.Popen[bytes] | None = None
        # Sockets have short names, and a process ID file of a killed engine must not be met again.
        self._directory = Path(tempfile.mkdtemp(prefix="mcp-auth-engine-"))
        if own:
            self.environment["DOCKER_HOST"] = f"unix://{self._directory}/docker.sock"
            # Debian's client and engine are of one version, without BuildKit's plugin.
            self.environment["DOCKER_BUILDKIT"] = "0"
            self._start(data)

    def _start(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        log = self._directory / "dockerd.log"
        with log.open("wb") as output:
            self._daemon = subprocess.Popen(
                [
                    "dockerd",
                    f"--data-root={data}",
                    f"--exec-root={self._directory}/exec",
                    f"--pidfile={self._directory}/docker.pid",
                    f"--host={self.environment['DOCKER_HOST']}",
                    "--bridge=none",
                ],
                stdout=output,
                stderr=output,
            )

        def ready() -> bool:
            assert self._daemon is not None
            if self._daemon.poll() is not None:
                raise EngineFailed(log.read_text(errors="replace")[-2000:])
            return self.try_run("docker", "info").returncode == 0

        until(ready, "the Docker engine", timeout=240, interval=0.2)

    def try_run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=timeout,
        )

    def run(self, *command: str, timeout: float = 300) -> str:
        """What the command prints; EngineFailed with its errors if it fails."""
        done = self.try_run(*command, timeout=timeout)
        if done.returncode != 0:
            raise EngineFailed(f"{' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done.stdout

    def compose(self) -> list[str]:
        """The command of Compose: the client's plugin, or the program of its first generation."""
        if self.try_run("docker", "compose", "version").returncode == 0:
            return ["docker", "compose"]
        return ["docker-compose"]

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(20)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
