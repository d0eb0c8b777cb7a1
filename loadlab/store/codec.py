"""The arrivals blob: when each output event of one response came, in microseconds.

`codec` is the width of one delta in bytes (4 or 8, little-endian, signed when 8), plus 16 when the blob is
zlib-compressed. The first delta counts from the request's `sent_ns`, each later one from its predecessor.
Rounding happens before the differences are taken, so no arrival is off by more than half a microsecond.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NS_PER_US = 1000
_DEFLATED = 16
_U32_LIMIT = 2**32


def encode(arrivals_ns: Sequence[int], base_ns: int) -> tuple[int, bytes]:
    """(codec, blob) of arrival times, which count on the same clock as `base_ns`."""
    offsets_us = np.rint((np.asarray(arrivals_ns, np.int64) - base_ns) / NS_PER_US).astype(np.int64)
    deltas = np.diff(offsets_us, prepend=0)
    fits = deltas.size == 0 or (deltas.min() >= 0 and deltas.max() < _U32_LIMIT)
    codec, raw = (4, deltas.astype("<u4").tobytes()) if fits else (8, deltas.astype("<i8").tobytes())
    small = zlib.compress(raw, 1)
    return (codec | _DEFLATED, small) if len(small) < len(raw) else (codec, raw)


def decode(codec: int, blob: bytes, base_ns: int) -> list[int]:
    """The arrival times in nanoseconds, on the clock of `base_ns`."""
    deltas, _ = _deltas([codec], [blob])
    return [int(offset) for offset in np.cumsum(deltas) * NS_PER_US + base_ns]


def gaps_ms(codecs: Sequence[int], blobs: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every gap between neighbours (ms), blob after blob, and how many gaps each blob has."""
    deltas, counts = _deltas(codecs, blobs)
    firsts = np.cumsum(counts) - counts
    is_gap = np.ones(deltas.size, bool)
    is_gap[firsts[counts > 0]] = False
    return deltas[is_gap] / 1000.0, np.maximum(counts - 1, 0)


def _deltas(codecs: Sequence[int], blobs: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All deltas (µs) in one array, and how many each blob has."""
    parts = [_plain(codec, blob) for codec, blob in zip(codecs, blobs, strict=True)]
    widths = np.fromiter((codec & ~_DEFLATED for codec in codecs), np.int64, len(parts))
    counts = np.fromiter(map(len, parts), np.int64, len(parts)) // np.maximum(widths, 1)
    if (widths == 4).all():
        return np.frombuffer(b"".join(parts), "<u4").astype(np.int64), counts
    types = {4: "<u4", 8: "<i8"}
    arrays = [
        np.frombuffer(part, types[int(width)]).astype(np.int64)
        for part, width in zip(parts, widths, strict=True)
    ]
    return np.concatenate(arrays), counts


def _plain(codec: int, blob: bytes) -> bytes:
    return zlib.decompress(blob) if codec & _DEFLATED else blob
