"""Writes what is in the module, or in the tool, as CycloneDX 1.6:
`package_sbom.py VERSION FILE COMPILER LIBC < TREE`.

TREE is what `scripts/package` asks cargo for: the crates that are linked for the target of FILE, with
the features they have there. Crates that only build or test it are not in it and not named. COMPILER
is the output of `rustc --version`, LIBC names the C library: these are in it.

Nothing depends on clock or machine; the serial number is made of the content.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

Json = dict[str, Any]

LINE = re.compile(r"(?P<depth>\d+)\|(?P<name>\S+) v(?P<version>\S+)(?: \(.*\))?\|(?P<license>.+)")
COMPILER = re.compile(r"rustc (?P<version>\S+) \((?P<commit>[0-9a-f]+) .*\)")
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"

Crate = tuple[str, str]


def purl(crate: Crate) -> str:
    name, version = crate
    return f"pkg:cargo/{name}@{version.replace('+', '%2B')}"


def read(tree: str) -> tuple[dict[Crate, str], dict[Crate, set[Crate]]]:
    """The crates with their licences, and which needs which; the first is the module's own."""
    licences: dict[Crate, str] = {}
    needs: dict[Crate, set[Crate]] = {}
    above: list[Crate] = []
    for line in tree.splitlines():
        found = LINE.fullmatch(line)
        if not found:
            sys.exit(f"package: a line of `cargo tree` is not understood: {line}")
        crate = (found["name"], found["version"])
        # SPDX has no `/`; cargo takes it for OR.
        licences[crate] = " OR ".join(one.strip() for one in found["license"].split("/"))
        needs.setdefault(crate, set())
        del above[int(found["depth"]) :]
        if above:
            needs[above[-1]].add(crate)
        above.append(crate)
    return licences, needs


def checksums(lock: Path) -> dict[Crate, str]:
    return {
        (one["name"], one["version"]): one["checksum"]
        for one in tomllib.loads(lock.read_text())["package"]
        if one.get("source") == CRATES_IO
    }


def sha256(digest: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": digest}]


def component(crate: Crate, licence: str, digest: str) -> Json:
    return {
        "type": "library",
        "bom-ref": purl(crate),
        "name": crate[0],
        "version": crate[1],
        "scope": "required",
        "hashes": sha256(digest),
        "licenses": [{"expression": licence}],
        "purl": purl(crate),
    }


def standard_library(compiler: str, libc: str) -> Json:
    found = COMPILER.match(compiler)
    if not found:
        sys.exit(f"package: `rustc --version` is not understood: {compiler}")
    reference = f"pkg:generic/rust-std@{found['version']}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": "rust-std",
        "version": found["version"],
        "description": f"Rust's standard library, as it came with {compiler}, and {libc}",
        "scope": "required",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": reference,
    }


def document(version: str, file: Path, compiler: str, libc: str, tree: str) -> Json:
    licences, needs = read(tree)
    own, *crates = licences
    if own != ("mcp-auth-filter", version):
        sys.exit(f"package: `cargo tree` speaks of {' '.join(own)}, not of version {version}.")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    pinned = checksums(Path("Cargo.lock"))
    # It is not on crates.io: a purl of that kind would name somebody else's.
    reference = f"pkg:generic/{file.name}@{version}?checksum=sha256:{digest}"
    library = standard_library(compiler, libc)
    content: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library" if file.suffix == ".wasm" else "application",
                "bom-ref": reference,
                "name": file.name,
                "version": version,
                "hashes": sha256(digest),
                "licenses": [{"expression": licences[own]}],
                "purl": reference,
            }
        },
        "components": [
            *(component(crate, licences[crate], pinned[crate]) for crate in sorted(crates)),
            library,
        ],
        # What the standard library is made of is its distributor's to say: it has no entry.
        "dependencies": [
            {
                "ref": reference,
                "dependsOn": [*(purl(crate) for crate in sorted(needs[own])), library["bom-ref"]],
            },
            *(
                {"ref": purl(crate), "dependsOn": [purl(needed) for needed in sorted(needs[crate])]}
                for crate in sorted(crates)
            ),
        ],
    }
    name = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return content | {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, name)}"}


if __name__ == "__main__":
    version, file, compiler, libc = sys.argv[1:]
    print(json.dumps(document(version, Path(file), compiler, libc, sys.stdin.read()), indent=2))
