"""A filter that asks the host for just what ours asks for, and does nothing else.

What it costs is the price of WebAssembly in Envoy by itself: no filter that makes these edits and has
these callbacks can be cheaper. `test_host_calls.py` compares both filters' calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_I32 = 0x7F
_REQUEST_HEADERS = 0

# Where the module keeps its texts, and where the host puts what it gives.
_TEXTS, _GIVEN = 1024, 65_536

_IMPORTS = {
    "get_header_map_value": 5,
    "get_header_map_pairs": 3,
    "get_current_time_nanoseconds": 1,
    "add_header_map_value": 5,
    "remove_header_map_value": 3,
    "set_property": 4,
}


def for_a_known_token(file: Path, headers: Sequence[str]) -> Path:
    """Reads path and headers, removes the token, adds these, and leaves the mark."""
    code = _Code()
    code.call("get_header_map_value", _REQUEST_HEADERS, *code.text(":path"), 0, 4)
    code.call("get_header_map_pairs", _REQUEST_HEADERS, 0, 4)
    code.call("get_current_time_nanoseconds", 8)
    code.call("remove_header_map_value", _REQUEST_HEADERS, *code.text("authorization"))
    for name in headers:
        value = code.text("a value of some length")
        code.call("add_header_map_value", _REQUEST_HEADERS, *code.text(name), *value)
    code.call("set_property", *code.text("mcp_auth"), *code.text("allow"))
    file.write_bytes(code.module())
    return file


def for_a_foreign_path(file: Path) -> Path:
    """Reads the path, and leaves the mark."""
    code = _Code()
    code.call("get_header_map_value", _REQUEST_HEADERS, *code.text(":path"), 0, 4)
    code.call("set_property", *code.text("mcp_auth"), *code.text("pass"))
    file.write_bytes(code.module())
    return file


class _Code:
    """The body of the function for request headers, with its texts."""

    def __init__(self) -> None:
        self._body = b""
        self._texts = b""

    def text(self, text: str) -> tuple[int, int]:
        """Its address and length."""
        at = _TEXTS + len(self._texts)
        self._texts += text.encode()
        return at, len(text)

    def call(self, function: str, *arguments: int) -> None:
        index = list(_IMPORTS).index(function)
        constants = b"".join(b"\x41" + _signed(argument) for argument in arguments)
        self._body += constants + b"\x10" + _unsigned(index) + b"\x1a"  # call, drop

    def module(self) -> bytes:
        exported = {
            "_initialize": (0, 0, b""),
            "proxy_abi_version_0_2_1": (0, 0, b""),
            "proxy_on_memory_allocate": (1, 1, _constant(_GIVEN)),
            "proxy_on_vm_start": (2, 1, _constant(1)),
            "proxy_on_configure": (2, 1, _constant(1)),
            "proxy_on_context_create": (2, 0, b""),
            "proxy_on_delete": (1, 0, b""),
            "proxy_on_request_headers": (3, 1, self._body + _constant(0)),
            "proxy_on_response_headers": (3, 1, _constant(0)),
            "proxy_on_response_body": (3, 1, _constant(0)),
        }
        types = [(parameters, 1) for parameters in _IMPORTS.values()]
        types += [(parameters, results) for parameters, results, _ in exported.values()]
        imports = [
            _name("env") + _name(f"proxy_{function}") + b"\x00" + _unsigned(index)
            for index, function in enumerate(_IMPORTS)
        ]
        first = len(imports)
        exports = [_name("memory") + b"\x02\x00"] + [
            _name(name) + b"\x00" + _unsigned(first + at) for at, name in enumerate(exported)
        ]
        bodies = [b"\x00" + body + b"\x0b" for _, _, body in exported.values()]  # no locals, end
        data = b"\x00" + _constant(_TEXTS) + b"\x0b" + _sized(self._texts)
        return b"\0asm\1\0\0\0" + b"".join(
            bytes([section]) + _sized(content)
            for section, content in (
                (1, _list([b"\x60" + _i32(given) + _i32(results) for given, results in types])),
                (2, _list(imports)),
                (3, _list([_unsigned(first + at) for at in range(len(exported))])),
                (5, _list([b"\x00" + _unsigned(17)])),
                (7, _list(exports)),
                (10, _list([_sized(body) for body in bodies])),
                (11, _list([data])),
            )
        )


def _i32(count: int) -> bytes:
    return _list([bytes([_I32])] * count)


def _constant(value: int) -> bytes:
    return b"\x41" + _signed(value)


def _name(text: str) -> bytes:
    return _sized(text.encode())


def _list(items: Sequence[bytes]) -> bytes:
    return _unsigned(len(items)) + b"".join(items)


def _sized(content: bytes) -> bytes:
    return _unsigned(len(content)) + content


def _unsigned(value: int) -> bytes:
    """LEB128."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _signed(value: int) -> bytes:
    """LEB128 of a number that is not negative: the last byte's sixth bit is its sign."""
    out = b""
    while value > 0x3F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
