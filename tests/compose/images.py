"""The images of docker-compose.yaml, made here under the names that users pull.

For machines that reach no registry of images. `images/` says of each what differs from the
published one.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from support import paths

from .engine import Engine

DOCKERFILES = Path(__file__).parent / "images"
BASE = "mcp-auth/base"
LABEL = "mcp-auth.made-of"
# The only version of Hydra that is to be had as a Go module.
HYDRA_VERSION = "v2.3.0"


def build(engine: Engine, parts: Path, npx: Path, hydra: Path, say: Callable[[str], None]) -> None:
    """Makes what is missing; `parts` has the base system."""
    composed = yaml.safe_load((paths.REPOSITORY / "envoy" / "docker-compose.yaml").read_text())
    names = {
        name: service["image"].replace("${HYDRA_VERSION:-v26.2.0}", HYDRA_VERSION)
        for name, service in composed["services"].items()
    }
    if not _is_made(engine, BASE, ""):
        say("importing Debian's base system")
        engine.run("docker", "import", str(parts / "base.tar"), BASE)

    def envoy(context: Path) -> None:
        _program(paths.envoy_binary(), context / "envoy")
        _program(DOCKERFILES / "docker-entrypoint.sh", context / "docker-entrypoint.sh")

    def node(context: Path) -> None:
        home = paths.node_binary().parents[1]
        for folder in ("bin", "lib"):
            shutil.copytree(home / folder, context / "node" / folder, symlinks=True)
        shutil.copytree(npx, context / "npx", symlinks=True)

    makers: dict[str, tuple[str, Callable[[Path], None]]] = {
        "envoy": (names["envoy"], envoy),
        "hydra": (names["hydra"], lambda context: _program(hydra, context / "hydra")),
        "node": (names["mcp-server"], node),
        "python": (names["login-consent"], lambda context: None),
    }
    parts_of = {"envoy": [paths.envoy_binary()], "hydra": [hydra], "node": [npx]}
    for kind, (name, fill) in makers.items():
        dockerfile = DOCKERFILES / f"{kind}.Dockerfile"
        made_of = _fingerprint([dockerfile, *parts_of.get(kind, ())])
        if _is_made(engine, name, made_of):
            continue
        say(f"making {name}")
        with tempfile.TemporaryDirectory() as context:
            fill(Path(context))
            engine.run(
                "docker", "build", "--quiet", "--network=none", f"--label={LABEL}={made_of}",
                f"--tag={name}", f"--file={dockerfile}", context,
            )  # fmt: skip


def _program(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _fingerprint(files: list[Path]) -> str:
    """Changes with what an image is made of: small files by their text, others by name and size."""
    digest = hashlib.sha256()
    for file in files:
        text = file.read_bytes() if file.suffix == ".Dockerfile" else b""
        digest.update(f"{file.name} {file.stat().st_size}".encode() + text)
    return digest.hexdigest()


def _is_made(engine: Engine, name: str, made_of: str) -> bool:
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    done = engine.try_run("docker", "image", "inspect", f"--format={label}", name)
    return done.returncode == 0 and done.stdout.strip() == made_of
