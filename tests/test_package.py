"""The output of `make package`: an image that Istio and Envoy Gateway can read, the command-line tool with all
that belongs to it, and SBOMs that are true."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from support import paths, tool
from support.processes import Child
from support.waiting import until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

VERSION = tomllib.loads((paths.REPOSITORY / "Cargo.toml").read_text())["package"]["version"]
NAME = f"mcp_auth_filter-{VERSION}"
TOOL = f"mcp-auth-{VERSION}-x86_64-linux"
FILES = ("mcp_auth_filter.wasm", f"{NAME}.oci.tar", f"{NAME}.cdx.json", f"{TOOL}.tar", f"{TOOL}.cdx.json")

Json = dict[str, Any]


def package(folder: Path, module: Path, program: Path, **environment: str) -> Path:
    made = subprocess.run(
        [paths.REPOSITORY / "scripts" / "package", folder, module, program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture(scope="module")
def module() -> Path:
    return paths.wasm_module()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tool as the tests have it, and what `make tool`, which takes minutes, would say of it."""
    built = tmp_path_factory.mktemp("tool") / "mcp-auth"
    subprocess.run(["strip", "-o", built, tool.mcp_auth()], check=True)
    (built.parent / "compiler").write_text("rustc 1.95.0 (59807616e 2026-04-14)\n")
    (built.parent / "libc").write_text("a C library\n")
    return built


@pytest.fixture(scope="module")
def folder(module: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"), module, program)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


Fetch = Callable[[Json], bytes]


def fetched(manifest: bytes, fetch: Fetch) -> bytes:
    """The module, read as Istio's and Envoy Gateway's fetchers read an image of the variant "compat".

    https://github.com/istio/istio/blob/master/pkg/wasm/imagefetcher.go,
    https://github.com/envoyproxy/gateway/blob/main/internal/wasm/imagefetcher.go
    """
    content = json.loads(manifest)
    assert content["mediaType"] == MANIFEST, "Docker's type would have them ask for Docker's layer"
    # Early versions of both took no other number; later ones take the last.
    (layer,) = content["layers"]
    assert layer["mediaType"] == LAYER
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(fetch(layer)))) as archive:
        for entry in archive:
            if PurePosixPath(entry.name).name == "plugin.wasm":
                found = archive.extractfile(entry)
                assert found is not None
                module = found.read()
                assert len(module) >= 8 and module.startswith(b"\0asm")
                return module
    raise AssertionError("plugin.wasm not found in the archive")


def layout(folder: Path) -> tuple[Json, Fetch]:
    """The descriptor of the image, and its blobs: each is what its descriptor says."""
    base = folder / f"{NAME}.oci"

    def fetch(descriptor: Json) -> bytes:
        blob = base.joinpath("blobs", *descriptor["digest"].split(":")).read_bytes()
        assert (sha256(blob), len(blob)) == (descriptor["digest"], descriptor["size"])
        return blob

    assert json.loads((base / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((base / "index.json").read_text())
    assert index["schemaVersion"] == 2
    # One image: of an index the fetchers would take what is for their platform.
    (image,) = index["manifests"]
    assert image["mediaType"] == MANIFEST
    return image, fetch


def test_the_image_holds_the_module(folder: Path, module: Path) -> None:
    image, fetch = layout(folder)
    assert fetched(fetch(image), fetch) == module.read_bytes()


def test_the_image_says_what_it_is(folder: Path) -> None:
    image, fetch = layout(folder)
    manifest = json.loads(fetch(image))
    assert manifest["schemaVersion"] == 2
    assert manifest["annotations"]["module.wasm.image/variant"] == "compat"
    assert manifest["annotations"]["org.opencontainers.image.version"] == VERSION
    assert image["annotations"] == {"org.opencontainers.image.ref.name": VERSION}
    assert manifest["config"]["mediaType"] == CONFIG
    config = json.loads(fetch(manifest["config"]))
    (layer,) = manifest["layers"]
    assert config["rootfs"] == {
        "type": "layers",
        "diff_ids": [sha256(gzip.decompress(fetch(layer)))],
    }


def test_the_tar_is_the_layout(folder: Path) -> None:
    base = folder / f"{NAME}.oci"
    in_folder = {
        str(file.relative_to(base)): file.read_bytes() for file in base.rglob("*") if file.is_file()
    }
    with tarfile.open(folder / f"{NAME}.oci.tar") as archive:
        in_tar = {
            entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))
        }
    assert in_tar == in_folder


def test_the_checksums_are_those_of_the_files(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}"
        for name in FILES
    ]


def test_again_and_elsewhere_it_is_the_same(
    folder: Path, module: Path, program: Path, tmp_path: Path
) -> None:
    other = package(
        tmp_path / "a longer name",
        module,
        program,
        TZ="Pacific/Auckland",
        LC_ALL="C",
        PYTHONHASHSEED="7",
    )
    for name in ("SHA256SUMS", *FILES):
        assert (other / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_tool_comes_with_all_that_belongs_to_it(
    folder: Path, program: Path, tmp_path: Path
) -> None:
    with tarfile.open(folder / f"{TOOL}.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    there = tmp_path / TOOL
    packed = there / "bin" / "mcp-auth"
    assert packed.read_bytes() == program.read_bytes()
    said = subprocess.run([packed, "--version"], check=True, capture_output=True, text=True)
    assert said.stdout == f"mcp-auth {VERSION}\n"
    share = there / "share"
    pages = {page.name: page.read_text() for page in (share / "man" / "man1").iterdir()}
    commands = re.findall(r"^  ([a-z]+) ", tool.run("--help").stdout, re.MULTILINE)
    assert {"probe", "init", "check"} < set(commands)
    for command in commands:
        if command not in ("help", "mcp"):
            assert f"mcp-auth-{command}.1" in pages
    # The long form: what a screen of --help has no room for.
    assert ".TH mcp-auth-explain" in pages["mcp-auth-explain.1"]
    assert "Nothing is sent anywhere" in pages["mcp-auth-explain.1"]
    for shell, name in (
        ("bash", "bash-completion/completions/mcp-auth"),
        ("fish", "fish/vendor_completions.d/mcp-auth.fish"),
        ("zsh", "zsh/site-functions/_mcp-auth"),
    ):
        assert (share / name).read_text() == tool.run("completions", shell).stdout
    assert (there / "LICENSE").read_text() == (paths.REPOSITORY / "LICENSE").read_text()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real container registry; `host:port`."""
    binary = paths.TOOLS / "registry" / "usr" / "bin" / "docker-registry"
    assert binary.exists(), "no container registry: run scripts/package-tools"
    configuration = tmp_path / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "storage")}}
    configuration.write_text(
        json.dumps({"version": 0.1, "http": {"addr": "127.0.0.1:0"}, "storage": storage})
    )
    with Child("registry", [binary, "serve", configuration], tmp_path) as running:

        def address() -> str | None:
            running.check()
            found = re.search(r"listening on (127\.0\.0\.1:\d+)", running.log())
            return found[1] if found else None

        yield until(address, "the registry to listen", timeout=30)


@pytest.mark.parametrize("source", ["oci", "oci-archive"])
def test_a_registry_takes_it_and_gives_it_back(
    source: str, folder: Path, module: Path, registry: str, tmp_path: Path
) -> None:
    image, _ = layout(folder)
    skopeo = shutil.which("skopeo")
    assert skopeo, "no skopeo: run scripts/package-tools"
    file = f"{NAME}.oci" if source == "oci" else f"{NAME}.oci.tar"
    pushed = subprocess.run(
        [
            skopeo, "copy", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests",
            f"{source}:{folder / file}:{VERSION}", f"docker://{registry}/mcp_auth_filter:{VERSION}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert pushed.returncode == 0, pushed.stderr

    with httpx.Client(base_url=f"http://{registry}/v2/mcp_auth_filter") as client:
        # The digest is what goes into `sha256` of a WasmPlugin or an EnvoyExtensionPolicy.
        manifest = client.get(f"/manifests/{VERSION}", headers={"accept": MANIFEST})
        assert manifest.headers["content-type"] == MANIFEST
        assert sha256(manifest.content) == image["digest"]
        assert manifest.headers["docker-content-digest"] == image["digest"]

        def fetch(descriptor: Json) -> bytes:
            blob = client.get(f"/blobs/{descriptor['digest']}").content
            assert sha256(blob) == descriptor["digest"]
            return blob

        assert fetched(manifest.content, fetch) == module.read_bytes()


@pytest.fixture(scope="module")
def sbom(folder: Path) -> Json:
    return json.loads((folder / f"{NAME}.cdx.json").read_text())


@pytest.fixture(scope="module")
def sbom_of_the_tool(folder: Path) -> Json:
    return json.loads((folder / f"{TOOL}.cdx.json").read_text())


@pytest.fixture(params=["sbom", "sbom_of_the_tool"])
def either(request: pytest.FixtureRequest) -> Json:
    return request.getfixturevalue(request.param)


def named(sbom: Json) -> set[tuple[str, str]]:
    return {(one["name"], one["version"]) for one in sbom["components"]}


def locked() -> dict[tuple[str, str], str]:
    lock = tomllib.loads((paths.REPOSITORY / "Cargo.lock").read_text())
    return {
        (one["name"], one["version"]): one["checksum"]
        for one in lock["package"]
        if "checksum" in one
    }


def test_the_sbom_is_the_modules(sbom: Json, module: Path) -> None:
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    subject = sbom["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("mcp_auth_filter.wasm", VERSION)
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    assert subject["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert "timestamp" not in sbom["metadata"]


def test_the_sbom_names_what_the_module_carries(sbom: Json, module: Path) -> None:
    # Panic messages name the crates that they are from. Those that are not in Cargo.lock came with
    # the standard library.
    carried = {
        (name.decode(), version.decode())
        for name, version in re.findall(
            rb"crates/[^/]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+[0-9A-Za-z.+-]*)/", module.read_bytes()
        )
    }
    ours = carried & locked().keys()
    assert len(ours) > 10, "no crates found in the module"
    assert ours <= named(sbom)
    assert any(name == "rust-std" for name, _ in named(sbom))


def test_the_sbom_names_nothing_else(sbom: Json) -> None:
    names = {name for name, _ in named(sbom)}
    of_the_command_line = {"clap", "humantime", "schemars"}
    of_tests = {"boon", "divan", "proptest"}
    of_the_compiler = {"serde_derive", "syn", "proc-macro2"}
    assert not names & (of_the_command_line | of_tests | of_the_compiler)


def test_the_tools_sbom_names_what_is_in_it(sbom_of_the_tool: Json, program: Path) -> None:
    subject = sbom_of_the_tool["metadata"]["component"]
    assert (subject["type"], subject["name"]) == ("application", "mcp-auth")
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    assert subject["hashes"] == [{"alg": "SHA-256", "content": digest}]
    names = {name for name, _ in named(sbom_of_the_tool)}
    assert {"clap", "jwt-simple", "rustls", "ureq", "p256"} < names
    assert not names & {"boon", "divan", "proptest", "cc", "syn"}
    (library,) = (one for one in sbom_of_the_tool["components"] if one["name"] == "rust-std")
    assert library["description"].endswith(", and a C library")


def test_the_sbom_has_version_licence_and_checksum_of_each(either: Json) -> None:
    checksums = locked()
    for one in either["components"]:
        assert one["licenses"][0]["expression"]
        if one["name"] == "rust-std":
            continue
        crate = (one["name"], one["version"])
        assert one["purl"] == f"pkg:cargo/{crate[0]}@{crate[1].replace('+', '%2B')}"
        assert one["hashes"] == [{"alg": "SHA-256", "content": checksums[crate]}]


def test_the_sboms_graph_is_whole(either: Json) -> None:
    references = [one["bom-ref"] for one in either["components"]]
    assert len(references) == len(set(references))
    graph = {one["ref"]: one["dependsOn"] for one in either["dependencies"]}
    reached: set[str] = set()
    waiting = [either["metadata"]["component"]["bom-ref"]]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += graph.get(one, [])
    assert reached == {*references, either["metadata"]["component"]["bom-ref"]}
