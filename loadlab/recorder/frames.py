"""The pipe between load worker and recorder: length-prefixed msgpack, a batch of exchanges per frame."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import msgpack

from loadlab.core.nouns import Exchange, Reading
from loadlab.core.reads import Reads

LENGTH = struct.Struct("<I")
_EXCHANGE = tuple(field.name for field in fields(Exchange))
_READS = _EXCHANGE.index("reads")


def frame(exchanges: Sequence[Exchange], readings: Sequence[Reading]) -> bytes:
    """One frame, its length in front."""
    body = msgpack.packb(
        ([_flat(exchange) for exchange in exchanges], [astuple(reading) for reading in readings])
    )
    return LENGTH.pack(len(body)) + bytes(body)


def unframe(body: bytes) -> tuple[list[Exchange], list[Reading]]:
    """The inverse of `frame`, for a body without its length."""
    exchanges, readings = msgpack.unpackb(body, use_list=False)
    return [_whole(row) for row in exchanges], [Reading(*row) for row in readings]


def _flat(exchange: Exchange) -> tuple[Any, ...]:
    row = [getattr(exchange, name) for name in _EXCHANGE]
    row[_READS] = exchange.reads.packed()
    return tuple(row)


def _whole(row: tuple[Any, ...]) -> Exchange:
    exchange = Exchange(*row)
    exchange.reads = Reads.unpacked(*row[_READS])
    return exchange
