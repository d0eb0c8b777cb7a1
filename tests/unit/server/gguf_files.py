"""Writes GGUF files for tests."""

from __future__ import annotations

import struct
from typing import Any


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf_file(
    tensors: dict[str, tuple[tuple[int, ...], int, bytes]], meta: bytes = b"", keys: int = 0
) -> bytes:
    """A GGUF version 3 file; shapes are given row-major and stored fastest axis first."""
    head, body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), keys) + meta, b""
    for name, (shape, kind, data) in tensors.items():
        axes = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += text(name) + struct.pack("<I", len(shape)) + axes + struct.pack("<IQ", kind, len(body))
        body += data + b"\0" * (-len(data) % 32)
    return head + b"\0" * (-len(head) % 32) + body


def pair(key: str, value: Any) -> bytes:
    """One entry of metadata; integers and lists of them are written as int32."""
    kinds: dict[type, tuple[int, str]] = {bool: (7, "?"), int: (5, "i"), float: (6, "f")}
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if not isinstance(value, list):
        kind, code = kinds[type(value)]
        return text(key) + struct.pack(f"<I{code}", kind, value)
    if isinstance(value[0], str):
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    kind, code = kinds[type(value[0])]
    return text(key) + struct.pack(f"<IIQ{len(value)}{code}", 9, kind, len(value), *value)
