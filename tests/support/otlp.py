"""Spans as Envoy exports them (OTLP over HTTP), as far as the tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    start: int
    """Nanoseconds since 1970."""
    attributes: dict[str, str]
    """Those that are strings."""


def spans(request: bytes) -> Iterator[Span]:
    """Those of an ExportTraceServiceRequest: opentelemetry/proto/trace/v1/trace.proto has the numbers."""
    for resource in _all(request, 1):
        for scope in _all(resource, 2):
            for span in _all(scope, 2):
                attributes = {}
                for pair in _all(span, 9):
                    (key,) = _all(pair, 1)
                    for value in _all(pair, 2):
                        for text in _all(value, 1):
                            attributes[key.decode()] = text.decode()
                (start,) = _all(span, 7)
                yield Span(int.from_bytes(start, "little"), attributes)


def _all(message: bytes, number: int) -> list[bytes]:
    """The bytes of every field of this number, in protobuf's wire format; no varints."""
    return [value for one, value in _fields(message) if one == number]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = varint()
        match tag & 7:
            case 0:
                varint()
                continue
            case 1:
                length = 8
            case 5:
                length = 4
            case 2:
                length = varint()
            case other:
                raise ValueError(f"wire type {other}")
        yield tag >> 3, message[at : at + length]
        at += length
