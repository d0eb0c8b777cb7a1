"""Reads a GGUF file (version 2 and 3) held in memory: metadata and dequantised tensors.

In scope: F32, F16, Q4_1 and Q8_0, which is what the bundled model is made of. numpy only.
Source: ggml-org/ggml docs/gguf.md and ggml-quants.c (block layouts), read 2026-11.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadlab.core.errors import LoadlabError

_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_BLOCK = 32  # values per quantised block
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Info:
    shape: tuple[int, ...]
    kind: int
    offset: int


class Gguf:
    """One file: `meta` by key, and tensors by name. Raises LoadlabError when it is not GGUF."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0
        if bytes(self._data[:4]) != b"GGUF":
            raise LoadlabError("the weights file is not GGUF; delete it and start again.")
        try:
            self._at = 4
            _version, tensors, keys = self._take("I"), self._take("Q"), self._take("Q")
            self.meta = {self._string(): self._value(self._take("I")) for _ in range(keys)}
            self._infos = {self._string(): self._info() for _ in range(tensors)}
        except (struct.error, UnicodeDecodeError, KeyError) as error:
            raise LoadlabError(
                f"the weights file is cut or damaged near byte {self._at}: {error}."
            ) from error
        align = self.meta.get("general.alignment", 32)
        self._start = -(-self._at // align) * align

    def tensor(self, name: str) -> Floats:
        """A tensor as float32 in row-major order. Raises LoadlabError for an unknown name or encoding."""
        info = self._infos.get(name)
        if info is None or info.kind not in _DECODERS:
            raise LoadlabError(f"tensor '{name}' is missing from the weights file, or encoded unreadably.")
        size, decode = _DECODERS[info.kind]
        count = int(np.prod(info.shape))
        begin = self._start + info.offset
        raw = np.frombuffer(self._data[begin : begin + round(count * size)], np.uint8)
        return decode(raw).reshape(info.shape)

    def _take(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self._data, self._at)
        self._at += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        length = self._take("Q")
        self._at += length
        return bytes(self._data[self._at - length : self._at]).decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._take(_SCALARS[kind])
        inner, length = self._take("I"), self._take("Q")
        if inner in _SCALARS:
            return self._row(_SCALARS[inner], length)
        return [self._value(inner) for _ in range(length)]

    def _row(self, code: str, length: int) -> list[Any]:
        values = struct.unpack_from(f"<{length}{code}", self._data, self._at)
        self._at += struct.calcsize(f"<{length}{code}")
        return list(values)

    def _info(self) -> _Info:
        shape = tuple(reversed(self._row("Q", self._take("I"))))  # GGUF counts from the fastest axis
        return _Info(shape, self._take("I"), self._take("Q"))


def _f32(raw: NDArray[np.uint8]) -> Floats:
    return raw.view(np.float32).copy()  # writable, unlike the file


def _f16(raw: NDArray[np.uint8]) -> Floats:
    values: Floats = raw.view(np.float16).astype(np.float32)
    return values


def q8_0(raw: NDArray[np.uint8]) -> Floats:
    """Blocks of a half-precision scale and 32 signed bytes."""
    blocks = raw.reshape(-1, 2 + _BLOCK)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    values: Floats = blocks[:, 2:].view(np.int8) * scale
    return values.reshape(-1)


def q4_1(raw: NDArray[np.uint8]) -> Floats:
    """Blocks of a half-precision scale and minimum and 32 nibbles: low halves first, then high ones."""
    blocks = raw.reshape(-1, 4 + _BLOCK // 2)
    scale, low = blocks[:, :4].copy().view(np.float16).astype(np.float32).T[..., None]
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    values: Floats = nibbles * scale + low
    return values.reshape(-1)


# encoding → (bytes per value, decoder)
_DECODERS: dict[int, tuple[float, Callable[[NDArray[np.uint8]], Floats]]] = {
    0: (4, _f32),
    1: (2, _f16),
    3: ((4 + _BLOCK // 2) / _BLOCK, q4_1),
    8: ((2 + _BLOCK) / _BLOCK, q8_0),
}
