"""Real web servers with a protected handler at /mcp and a public rest, as scripts/servers has them.

Each answers `protected` or `public`, and is set to be as lenient with paths as it can be.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import paths
from .processes import Child
from .waiting import until

SOURCE = Path(__file__).parent / "servers"
TOOLS = paths.REPOSITORY / ".tools" / "servers"

NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr crit;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    location = /mcp {{ return 200 protected; }}
    location /mcp/ {{ return 200 protected; }}
    location ~ ^/mcp(/|$) {{ return 200 protected; }}
    location / {{ return 200 public; }}
  }}
}}
"""


def _nginx(directory: Path, port: int) -> list[str | Path]:
    file = directory / "nginx.conf"
    file.write_text(NGINX.format(directory=directory, port=port))
    return [TOOLS / "nginx/usr/sbin/nginx", "-p", directory, "-c", file]


def _java(folder: str, name: str) -> Callable[[Path, int], list[str | Path]]:
    """The leanest start: these run beside an Envoy on a small machine."""
    java = shutil.which("java") or "java"
    options = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    return lambda _, port: [java, *options, "-cp", f"{TOOLS / folder}:{TOOLS / folder}/*", name, str(port)]


def _python(file: str) -> Callable[[Path, int], list[str | Path]]:
    python = paths.REPOSITORY / ".tools/venv/bin/python"
    return lambda _, port: [python, SOURCE / file, str(port)]


def _go(name: str) -> Callable[[Path, int], list[str | Path]]:
    return lambda _, port: [TOOLS / "go-servers", name, str(port)]


def _php(_: Path, port: int) -> list[str | Path]:
    php = TOOLS / "php/usr/bin/php8.2"
    return [php, "-n", "-S", f"127.0.0.1:{port}", "-t", SOURCE / "php"]


def _express(_: Path, port: int) -> list[str | Path]:
    return [paths.node_binary(), SOURCE / "express.mjs", str(port), paths.REPOSITORY / ".tools/ts_client"]


# Name: how it is started, and what scripts/servers calls it where it brings it.
SERVERS: dict[str, tuple[Callable[[Path, int], list[str | Path]], str | None]] = {
    "nginx": (_nginx, "nginx"),
    "tomcat": (_java("tomcat", "Tomcat10"), "tomcat"),
    "jetty": (_java("jetty", "Jetty9"), "jetty"),
    "php": (_php, "php"),
    "starlette": (_python("starlette_app.py"), None),
    "bottle": (_python("bottle_app.py"), "bottle"),
    "express": (_express, None),
    "go": (_go("net-http"), "go"),
    "fiber": (_go("fiber"), "go"),
}


@contextmanager
def running(name: str, directory: Path) -> Iterator[int]:
    """The server's port. Skips the test where the server could not be had."""
    command, brought_as = SERVERS[name]
    if brought_as is not None:
        assert TOOLS.exists(), "run scripts/servers"
        missing = TOOLS / f"{brought_as}.missing"
        if missing.exists():
            pytest.skip(f"NOT TESTED with {name}: {missing.read_text().strip()}")
    directory.mkdir(parents=True)
    port = _free_port()
    environment = {"PYTHONPATH": str(TOOLS / "python"), "PHP_CLI_SERVER_WORKERS": "2"}
    with Child(name, command(directory, port), directory, environment=environment) as child:

        def listens() -> bool:
            child.check()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
            return True

        until(listens, f"{name} to listen", timeout=120, interval=0.05)
        yield port


def _free_port() -> int:
    """None of these servers can share a port that is held, or tells which one it took."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]
