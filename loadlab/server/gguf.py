"""Reads a GGUF file (version 2 and 3): metadata and dequantised tensors. numpy only.

In scope: the encodings that files of Llama-family models are commonly published in (`_DECODERS`); not the
"IQ" ones with their tables. Source: ggml-org/ggml docs/gguf.md and ggml-quants.c (block layouts), read
2026-11.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadlab.core.errors import LoadlabError

_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_BLOCK = 32  # values per block of the older encodings
_SUPER = 256  # values per block of the "K" ones
_FIFTH = np.uint8(4)
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Info:
    shape: tuple[int, ...]
    kind: int
    offset: int


class Gguf:
    """One file: `meta` by key, and tensors by name. Raises LoadlabError when it is not GGUF."""

    def __init__(self, data: bytes | memoryview, name: str = "the weights file") -> None:
        self._data, self._at, self._name = memoryview(data), 0, name
        if bytes(self._data[:4]) != b"GGUF":
            raise LoadlabError(f"{name} is not GGUF; fetch it again, or name another.")
        try:
            self._at = 4
            _version, tensors, keys = self._take("I"), self._take("Q"), self._take("Q")
            self.meta = {self._string(): self._value(self._take("I")) for _ in range(keys)}
            self._infos = {self._string(): self._info() for _ in range(tensors)}
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as error:
            raise LoadlabError(
                f"{name} is cut or damaged near byte {self._at} ({error}); fetch it again."
            ) from error
        align = self.meta.get("general.alignment", 32)
        self._start = -(-self._at // align) * align

    @classmethod
    def open(cls, path: Path) -> Gguf:
        """A file on disk, read as it is needed. Raises LoadlabError when it cannot be read."""
        try:
            return cls(np.memmap(path, np.uint8, "r").data, str(path))
        except (OSError, ValueError) as error:  # ValueError: an empty file
            words = error.strerror if isinstance(error, OSError) else error
            raise LoadlabError(f"cannot read {path}: {words}.") from error

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def tensor(self, name: str) -> Floats:
        """A tensor as float32, row-major. LoadlabError: unknown name or encoding, or the file is cut."""
        info = self._infos.get(name)
        if info is None:
            raise LoadlabError(
                f"tensor '{name}' is missing from {self._name}; it is not of a model known here."
            )
        if info.kind not in _DECODERS:
            raise LoadlabError(
                f"tensor '{name}' in {self._name} has encoding {info.kind}, which is not read here; "
                f"convert the file to one of {', '.join(kind.name for kind in _DECODERS.values())}."
            )
        kind, count = _DECODERS[info.kind], int(np.prod(info.shape))
        begin, size = self._start + info.offset, count // kind.values * kind.bytes
        raw = np.frombuffer(self._data[begin : begin + size], np.uint8)
        if len(raw) < size:
            raise LoadlabError(f"{self._name} is cut: tensor '{name}' ends beyond it; fetch it again.")
        return kind.decode(raw).reshape(info.shape)

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


def _half(raw: Bytes) -> Floats:
    """Half-precision columns of blocks [blocks, 2 · n] as [blocks, n]."""
    values: Floats = np.ascontiguousarray(raw).view(np.float16).astype(np.float32)
    return values


def _nibbles(raw: Bytes) -> Bytes:
    """The low halves of all bytes of a block, then the high ones."""
    return np.concatenate([raw & 15, raw >> 4], axis=-1)


def _f32(raw: Bytes) -> Floats:
    return raw.view(np.float32).copy()  # writable, unlike the file


def _f16(raw: Bytes) -> Floats:
    values: Floats = raw.view(np.float16).astype(np.float32)
    return values


def _bf16(raw: Bytes) -> Floats:
    return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def q8_0(raw: Bytes) -> Floats:
    """Blocks of a scale and 32 signed bytes."""
    blocks = raw.reshape(-1, 2 + _BLOCK)
    values: Floats = blocks[:, 2:].view(np.int8) * _half(blocks[:, :2])
    return values.reshape(-1)


def q4_0(raw: Bytes) -> Floats:
    """Blocks of a scale and 32 nibbles that count from -8."""
    blocks = raw.reshape(-1, 2 + _BLOCK // 2)
    values: Floats = (_nibbles(blocks[:, 2:]).astype(np.int8) - 8) * _half(blocks[:, :2])
    return values.reshape(-1)


def q4_1(raw: Bytes) -> Floats:
    """Blocks of a scale, a minimum and 32 nibbles."""
    blocks = raw.reshape(-1, 4 + _BLOCK // 2)
    scale, low = _half(blocks[:, :4]).T[..., None]
    values: Floats = _nibbles(blocks[:, 4:]) * scale + low
    return values.reshape(-1)


def q5_0(raw: Bytes) -> Floats:
    """Blocks of a scale, 32 fifth bits and 32 nibbles; counted from -16."""
    blocks = raw.reshape(-1, 6 + _BLOCK // 2)
    codes = _fives(blocks[:, 2:6], blocks[:, 6:]).astype(np.int8) - 16
    values: Floats = codes * _half(blocks[:, :2])
    return values.reshape(-1)


def q5_1(raw: Bytes) -> Floats:
    """Blocks of a scale, a minimum, 32 fifth bits and 32 nibbles."""
    blocks = raw.reshape(-1, 8 + _BLOCK // 2)
    scale, low = _half(blocks[:, :4]).T[..., None]
    values: Floats = _fives(blocks[:, 4:8], blocks[:, 8:]) * scale + low
    return values.reshape(-1)


def _fives(bits: Bytes, nibbles: Bytes) -> Bytes:
    """Nibbles with their fifth bits, of which bit j of the four bytes belongs to value j."""
    return _nibbles(nibbles) | np.unpackbits(bits, axis=1, bitorder="little") << _FIFTH


def q4_k(raw: Bytes) -> Floats:
    """Blocks of 256: a scale of scales, one of minima, 8 six-bit pairs of them, nibbles."""
    blocks = raw.reshape(-1, 144)
    codes = _nibbles(blocks[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return _scaled(blocks, codes)


def q5_k(raw: Bytes) -> Floats:
    """As q4_k, with a fifth bit: bit j of byte i belongs to value i of group j."""
    blocks = raw.reshape(-1, 176)
    codes = _nibbles(blocks[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    fifth = np.unpackbits(blocks[:, 16:48, None], axis=2, bitorder="little").swapaxes(1, 2)
    return _scaled(blocks, codes | fifth << _FIFTH)


def _scaled(blocks: Bytes, codes: Bytes) -> Floats:
    scale, low = _half(blocks[:, :4]).T[..., None, None]
    packed = blocks[:, 4:16].reshape(-1, 3, 4)  # six-bit numbers: four scales, four minima, the rest of both
    top = packed[:, :2] >> 6 << 4
    scales = np.concatenate([packed[:, 0] & 63, packed[:, 2] & 15 | top[:, 0]], axis=1)[..., None]
    lows = np.concatenate([packed[:, 1] & 63, packed[:, 2] >> 4 | top[:, 1]], axis=1)[..., None]
    values: Floats = scale * scales * codes - low * lows
    return values.reshape(-1)


def q6_k(raw: Bytes) -> Floats:
    """Blocks of 256: nibbles, two more bits, a signed scale per 16 values, a scale of scales; from -32."""
    blocks = raw.reshape(-1, 210)
    low = _nibbles(blocks[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> shifts & 3
    codes = (low | high << 4).astype(np.int8) - 32
    scales = blocks[:, 192:208].view(np.int8) * _half(blocks[:, 208:])
    values: Floats = codes.reshape(-1, 16, 16) * scales[..., None]
    return values.reshape(-1)


@dataclass(frozen=True, slots=True)
class _Kind:
    """An encoding: so many bytes stand for so many values."""

    name: str
    bytes: int
    values: int
    decode: Callable[[Bytes], Floats]


_DECODERS: dict[int, _Kind] = {
    0: _Kind("F32", 4, 1, _f32),
    1: _Kind("F16", 2, 1, _f16),
    2: _Kind("Q4_0", 18, _BLOCK, q4_0),
    3: _Kind("Q4_1", 20, _BLOCK, q4_1),
    6: _Kind("Q5_0", 22, _BLOCK, q5_0),
    7: _Kind("Q5_1", 24, _BLOCK, q5_1),
    8: _Kind("Q8_0", 34, _BLOCK, q8_0),
    12: _Kind("Q4_K", 144, _SUPER, q4_k),
    13: _Kind("Q5_K", 176, _SUPER, q5_k),
    14: _Kind("Q6_K", 210, _SUPER, q6_k),
    30: _Kind("BF16", 2, 1, _bf16),
}
