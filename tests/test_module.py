"""The module as it is shipped: what it asks of its host, what it offers, what it carries along."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import paths, tokens, wasm_host

IMPORT, EXPORT, CODE, CUSTOM = 2, 7, 10, 0

# Envoy 1.28 has these functions; a module that imports any other does not load there. It has more of
# WASI: these are what a module of Rust has use for.
# https://github.com/proxy-wasm/proxy-wasm-cpp-host/blob/main/include/proxy-wasm/exports.h
ABI_0_2_1 = """
    log get_log_level get_status set_property get_property send_local_response
    continue_stream close_stream
    get_shared_data set_shared_data
    register_shared_queue resolve_shared_queue dequeue_shared_queue enqueue_shared_queue
    get_header_map_value add_header_map_value replace_header_map_value remove_header_map_value
    get_header_map_pairs set_header_map_pairs get_header_map_size
    get_buffer_status get_buffer_bytes set_buffer_bytes
    http_call grpc_call grpc_stream grpc_close grpc_cancel grpc_send
    set_tick_period_milliseconds get_current_time_nanoseconds
    define_metric increment_metric record_metric get_metric
    set_effective_context done call_foreign_function
"""
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
    there = {("env", f"proxy_{name}") for name in ABI_0_2_1.split()}
    there |= {("wasi_snapshot_preview1", name) for name in WASI}
    assert not imported - there


@pytest.fixture
def old_v8(monkeypatch: pytest.MonkeyPatch) -> str:
    """A Node.js with V8 10.2, for `wasm_host` too; the oldest that Envoy 1.28 to 1.40 have is 10.7."""
    found = subprocess.run(
        [paths.REPOSITORY / "scripts" / "old-v8"], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    node = found.stdout.strip()
    monkeypatch.setenv("MCP_AUTH_NODE", node)
    return node


HEADER = b"\0asm\1\0\0\0"
# What it must not take, or it is no old one: each is a whole module.
TOO_NEW = {
    "tail call": b"\1\4\1\x60\0\0\3\2\1\0\x0a\6\1\4\0\x12\0\x0b",
    "extended constant": b"\6\x09\1\x7f\0\x41\1\x41\2\x6a\x0b",
    "garbage collection": b"\1\3\1\x5f\0",
    "memory of 64 bit": b"\5\3\1\4\1",
    "two memories": b"\5\5\2\0\1\0\1",
}


def test_an_old_v8_accepts_it(old_v8: str, path: Path, tmp_path: Path) -> None:
    modules = {"the module": path}
    for name, content in TOO_NEW.items():
        modules[name] = tmp_path / name
        modules[name].write_bytes(HEADER + content)
    accepted = """
        const { readFileSync } = require("node:fs");
        const accepted = ([, file]) => WebAssembly.validate(readFileSync(file));
        const modules = Object.entries(JSON.parse(process.argv[1]));
        console.log(JSON.stringify(modules.filter(accepted).map(([name]) => name)));
    """
    done = subprocess.run(
        [
            old_v8,
            "--eval",
            accepted,
            json.dumps({name: str(file) for name, file in modules.items()}),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["the module"]


@pytest.mark.parametrize("key", ["rsa-1", "ec-1", "ed-1"])
def test_an_old_v8_runs_it(old_v8: str, path: Path, key: str) -> None:
    issuer, resource = "https://auth.example.com", "https://mcp.example.com/mcp"
    configuration = {
        "issuers": [{"issuer": issuer, "jwks": tokens.jwks([key])}],
        "resources": [{"resource": resource}],
    }
    token = tokens.mint({"key": key}, {"iss": issuer, "aud": resource, "sub": "alice"})
    head = [(":authority", "mcp.example.com"), (":path", "/mcp"), (":method", "POST")]
    without, good, bad = wasm_host.run(
        path,
        configuration,
        [
            head,
            [*head, ("authorization", f"Bearer {token}")],
            [*head, ("authorization", f"Bearer {token[:-8]}AAAAAAAA")],
        ],
        now=int(time.time()),
    )
    assert without.reply is not None and without.reply["status"] == 401
    assert good.reply is None and good.state["mcp_auth"] == "allow"
    assert bad.reply is not None and bad.state["mcp_auth_reason"] == "signature_invalid"


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


def test_callbacks_that_are_not_exported_have_no_code(module: bytes) -> None:
    (code,) = (section for kind, section in sections(module) if kind == CODE)
    bodies = [code.vector() for _ in range(code.number())]
    assert not code
    # Just `unreachable`: gRPC, TCP and the rest of what the SDK has. Their numbers stay.
    assert sum(body == b"\0\x00\x0b" for body in bodies) >= 10


def test_carries_no_names_and_no_debugging_data(module: bytes) -> None:
    custom = {section.name() for kind, section in sections(module) if kind == CUSTOM}
    assert custom <= {"producers", "target_features"}


def test_carries_no_path_of_the_machine_that_built_it(module: bytes) -> None:
    # Panic messages name source files; those of the libraries start with `crates/` or `rust/`, or, where the
    # standard library came made by rustup, with what its makers had for their folder.
    own = rb"/(?:home|root|usr|tmp|Users)/|/rustc/(?![0-9a-f]{40}/library/)"
    assert not re.findall(rb"(?:%s)[ -~]{1,80}" % own, module)


def test_the_checksum_is_the_modules(path: Path, module: bytes) -> None:
    file = path.with_name(path.name + ".sha256")
    if path.parent != paths.REPOSITORY / "dist":
        pytest.skip("the module is not the one of `make build`")
    # As `sha256sum --check` reads it.
    assert file.read_text() == f"{hashlib.sha256(module).hexdigest()}  {path.name}\n"
