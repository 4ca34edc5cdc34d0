"""The module as it is shipped: what it asks of its host, what it offers, what it carries along."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import paths

IMPORT, EXPORT, CUSTOM = 2, 7, 0

# Envoy 1.28 has these functions of WASI; a module that imports any other does not load there.
WASI = {
    "random_get",
    "environ_get",
    "environ_sizes_get",
    "clock_time_get",
    "fd_write",
    "proc_exit",
}


class Reader:
    """Reads the binary format: https://webassembly.github.io/spec/core/binary/."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        assert len(taken) == count, "the module is cut short"
        self._at += count
        return taken

    def number(self) -> int:
        """An unsigned LEB128."""
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def vector(self) -> bytes:
        return self.take(self.number())

    def name(self) -> str:
        return self.vector().decode()


def sections(module: bytes) -> Iterator[tuple[int, Reader]]:
    reader = Reader(module)
    assert reader.take(8) == b"\0asm\1\0\0\0"
    while reader:
        (kind,) = reader.take(1)
        yield kind, Reader(reader.vector())


def functions_imported(module: bytes) -> set[tuple[str, str]]:
    found = set()
    for kind, section in sections(module):
        if kind != IMPORT:
            continue
        for _ in range(section.number()):
            imported = (section.name(), section.name())
            assert section.take(1) == b"\0", f"{imported} is not a function"
            section.number()  # its type
            found.add(imported)
    return found


def functions_exported(module: bytes) -> set[str]:
    found = set()
    for kind, section in sections(module):
        if kind != EXPORT:
            continue
        for _ in range(section.number()):
            name, (what,) = section.name(), section.take(1)
            section.number()  # its index
            if what == 0:
                found.add(name)
    return found


@pytest.fixture(scope="module")
def path() -> Path:
    return paths.wasm_module()


@pytest.fixture(scope="module")
def module(path: Path) -> bytes:
    return path.read_bytes()


def test_imports_are_the_hosts_and_six_of_wasi(module: bytes) -> None:
    imported = functions_imported(module)
    assert ("env", "proxy_send_local_response") in imported, "the reader has found nothing"
    unexpected = {
        (space, name)
        for space, name in imported
        if not (space == "env" and name.startswith("proxy_"))
        and not (space == "wasi_snapshot_preview1" and name in WASI)
    }
    assert not unexpected


def test_exports_are_those_that_the_host_calls(module: bytes) -> None:
    exported = functions_exported(module)
    assert {name for name in exported if name.startswith("proxy_abi_version")} == {
        "proxy_abi_version_0_2_1"
    }
    # `_initialize` makes it a reactor: with `_start` the host would run it to its end. A callback
    # that does nothing would still cost every request.
    assert exported - {"memory"} == {
        "_initialize",
        "proxy_abi_version_0_2_1",
        "proxy_on_memory_allocate",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_context_create",
        "proxy_on_tick",
        "proxy_on_request_headers",
        "proxy_on_request_body",
        "proxy_on_request_trailers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
        "proxy_on_response_trailers",
        "proxy_on_http_call_response",
        "proxy_on_delete",
    }


def test_carries_no_names_and_no_debugging_data(module: bytes) -> None:
    custom = {section.name() for kind, section in sections(module) if kind == CUSTOM}
    assert custom <= {"producers", "target_features"}


def test_carries_no_path_of_the_machine_that_built_it(module: bytes) -> None:
    # Panic messages name source files; those of the libraries start with `crates/` or `rust/`.
    assert not re.findall(rb"/(?:home|root|usr|tmp|Users|rustc)/[ -~]{1,80}", module)


def test_the_checksum_is_the_modules(path: Path, module: bytes) -> None:
    file = path.with_name(path.name + ".sha256")
    if path.parent != paths.REPOSITORY / "dist":
        pytest.skip("the module is not the one of `make build`")
    # As `sha256sum --check` reads it.
    assert file.read_text() == f"{hashlib.sha256(module).hexdigest()}  {path.name}\n"
