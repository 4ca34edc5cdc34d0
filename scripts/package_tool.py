"""Packs the command-line tool with its man pages and completions: `package_tool.py VERSION TOOL TAR`.

Below one folder it is laid out as below /usr/local. Man pages and completions are the tool's own: it
makes them of what its `--help` says. Equal tools give equal bytes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from package_tar import tar

COMPLETIONS = {
    "bash": "share/bash-completion/completions/mcp-auth",
    "fish": "share/fish/vendor_completions.d/mcp-auth.fish",
    "zsh": "share/zsh/site-functions/_mcp-auth",
}


def run(tool: str, *arguments: str) -> bytes:
    return subprocess.run([tool, *arguments], check=True, capture_output=True).stdout


def main(version: str, tool: str, archive: str) -> None:
    tool = str(Path(tool).resolve())
    files = {"bin/mcp-auth": Path(tool).read_bytes(), "LICENSE": Path("LICENSE").read_bytes()}
    files |= {name: run(tool, "completions", shell) for shell, name in COMPLETIONS.items()}
    with tempfile.TemporaryDirectory() as folder:
        run(tool, "man", folder)
        for page in Path(folder).iterdir():
            files[f"share/man/man1/{page.name}"] = page.read_bytes()
    top = f"mcp-auth-{version}-x86_64-linux"
    packed = {f"{top}/{name}": content for name, content in files.items()}
    Path(archive).write_bytes(tar(packed, executable={f"{top}/bin/mcp-auth"}))
    print(f"package: {archive}: {len(files)} files")


if __name__ == "__main__":
    main(*sys.argv[1:])
