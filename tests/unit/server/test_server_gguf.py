"""GGUF: tensors packed by hand come back as the numbers that were packed."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from loadlab.core.errors import LoadlabError
from loadlab.server.gguf import Gguf, q4_1, q8_0


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


def test_q8_0_is_scale_times_byte() -> None:
    block = np.float16(0.5).tobytes() + np.arange(-16, 16, dtype=np.int8).tobytes()
    assert q8_0(np.frombuffer(block, np.uint8)).tolist() == [n / 2 for n in range(-16, 16)]


def test_q4_1_takes_the_low_nibbles_first() -> None:
    low, high = [*range(16)], [*range(15, -1, -1)]
    packed = bytes(a | b << 4 for a, b in zip(low, high, strict=True))
    block = np.array([2, -1], np.float16).tobytes() + packed
    assert q4_1(np.frombuffer(block, np.uint8)).tolist() == [2 * n - 1 for n in low + high]


def test_a_file_gives_its_metadata_and_tensors() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    meta = text("a.count") + struct.pack("<II", 4, 7)
    meta += text("a.names") + struct.pack("<IIQ", 9, 8, 2) + text("x") + text("ÿ")
    meta += text("a.kinds") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3)
    block = np.float16(1).tobytes() + bytes(range(32))
    file = Gguf(gguf_file({"w": ((2, 3), 0, rows.tobytes()), "q": ((1, 32), 8, block)}, meta, keys=3))
    assert file.meta == {"a.count": 7, "a.names": ["x", "ÿ"], "a.kinds": [1, 2, 3]}
    assert file.tensor("w").tolist() == rows.tolist()
    assert file.tensor("q").tolist() == [list(range(32))]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\3\4 not a model", "not GGUF"),
        (gguf_file({"w": ((2, 3), 0, bytes(24))})[:40], "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("key") + struct.pack("<I", 77), "damaged"),
    ],
)
def test_a_damaged_file_says_so(data: bytes, words: str) -> None:
    with pytest.raises(LoadlabError, match=words):
        Gguf(data)


def test_an_unknown_tensor_or_encoding_says_so() -> None:
    file = Gguf(gguf_file({"odd": ((32,), 12, bytes(32))}))
    for name in ("odd", "absent"):
        with pytest.raises(LoadlabError, match=name):
            file.tensor(name)
