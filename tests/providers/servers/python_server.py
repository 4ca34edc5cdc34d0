"""A server from PyPI: a program of this folder runs it, with packages that nothing else sees."""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import sys
from pathlib import Path
from typing import Any, ClassVar

from support import paths
from support.ports import free_port
from support.processes import Child

from .server import PATIENCE, Server

PACKAGES = paths.TOOLS / "provider-servers"


class PythonServer(Server):
    """Asked about tokens by the client `mcp-server`, whose secret the program is told."""

    distribution: ClassVar[str]
    """Its name at PyPI."""
    program: ClassVar[str]
    """The file that runs it: prints a line of JSON once it listens."""

    def __init__(self, directory: Path, **options: Any) -> None:
        """`options`: what the program is told, besides its port, the secret, and a folder for files."""
        super().__init__()
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self._secret = secrets.token_hex(16)
        directory.mkdir(parents=True, exist_ok=True)
        told = {"port": port, "folder": str(directory), "secret": self._secret, **options}
        # -P: a file of this folder may have a package's name.
        program = [sys.executable, "-P", Path(__file__).with_name(self.program), json.dumps(told)]
        try:
            self._child = self._stack.enter_context(
                Child(
                    self.distribution,
                    program,
                    directory,
                    environment={"PYTHONPATH": str(self._packages)},
                )
            )
            self._child.first_json_line(timeout=PATIENCE)
        except BaseException:
            self.stop()
            raise

    @property
    def _packages(self) -> Path:
        return PACKAGES / self.distribution

    @property
    def version(self) -> str:
        [found] = importlib.metadata.distributions(
            name=self.distribution, path=[str(self._packages)]
        )
        return found.version

    def log(self) -> str:
        return self._child.log()
