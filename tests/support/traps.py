"""A module for Envoy that crashes on every request: what this project's own must never do."""

from __future__ import annotations

_I32 = 0x7F
# Function types, as lists of parameters and results.
_TYPES = [([], []), ([_I32], [_I32]), ([_I32] * 3, [_I32])]
# Name, type, and code of what proxy-wasm 0.2.1 asks for at least.
_FUNCTIONS = [
    ("proxy_abi_version_0_2_1", 0, b""),
    ("proxy_on_memory_allocate", 1, b"\x41\x00"),  # i32.const 0
    ("proxy_on_request_headers", 2, b"\x00"),  # unreachable
]


def module() -> bytes:
    """In the binary format: https://webassembly.github.io/spec/core/binary/."""
    types = [
        b"\x60" + _vector(*map(_byte, given)) + _vector(*map(_byte, made)) for given, made in _TYPES
    ]
    exports = [_name(name) + b"\x00" + _byte(at) for at, (name, _, _) in enumerate(_FUNCTIONS)]
    bodies = [_sized(b"\x00" + code + b"\x0b") for _, _, code in _FUNCTIONS]
    sections = {
        1: _vector(*types),
        3: _vector(*(_byte(kind) for _, kind, _ in _FUNCTIONS)),
        5: _vector(b"\x00\x01"),  # a memory of one page
        7: _vector(*exports, _name("memory") + b"\x02\x00"),
        10: _vector(*bodies),
    }
    return b"\0asm\1\0\0\0" + b"".join(_byte(at) + _sized(data) for at, data in sections.items())


def _byte(number: int) -> bytes:
    assert number < 0x80, "one byte of LEB128 is enough for this module"
    return bytes([number])


def _vector(*items: bytes) -> bytes:
    return _byte(len(items)) + b"".join(items)


def _sized(data: bytes) -> bytes:
    """With its length in front, as two bytes of LEB128 in any case."""
    return bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data


def _name(text: str) -> bytes:
    return _sized(text.encode())
