"""GGUF: tensors packed by hand come back as the numbers that were packed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf_files import gguf_file, text

from loadlab.core.errors import LoadlabError
from loadlab.server.gguf import Gguf, q4_0, q4_1, q4_k, q5_0, q5_1, q5_k, q6_k, q8_0


def half(block: bytes, at: int) -> float:
    (value,) = struct.unpack_from("<e", block, at)
    return float(value)


def signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def one_q8_0(b: bytes, i: int) -> float:
    return half(b, 0) * signed(b[2 + i])


def nibble(b: bytes, at: int, i: int) -> int:
    """Of 32 nibbles in 16 bytes, the low halves come first."""
    return b[at + i] & 15 if i < 16 else b[at + i - 16] >> 4


def fifth(b: bytes, at: int, i: int) -> int:
    return (int.from_bytes(b[at : at + 4], "little") >> i & 1) << 4


def one_q4_0(b: bytes, i: int) -> float:
    return half(b, 0) * (nibble(b, 2, i) - 8)


def one_q4_1(b: bytes, i: int) -> float:
    return half(b, 0) * nibble(b, 4, i) + half(b, 2)


def one_q5_0(b: bytes, i: int) -> float:
    return half(b, 0) * ((nibble(b, 6, i) | fifth(b, 2, i)) - 16)


def one_q5_1(b: bytes, i: int) -> float:
    return half(b, 0) * (nibble(b, 8, i) | fifth(b, 4, i)) + half(b, 2)


def six_bits(b: bytes, group: int) -> tuple[int, int]:
    """Scale and minimum of a group of a K block, as ggml's get_scale_min_k4 unpacks them."""
    q = b[4:16]
    if group < 4:
        return q[group] & 63, q[group + 4] & 63
    scale = q[group + 4] & 15 | (q[group - 4] >> 6) << 4
    return scale, q[group + 4] >> 4 | (q[group] >> 6) << 4


def one_q4_k(b: bytes, i: int, at: int = 16, extra: int = 0) -> float:
    group = i // 32
    byte = b[at + i // 64 * 32 + i % 32]
    code = (byte >> 4 if group % 2 else byte & 15) | extra
    scale, low = six_bits(b, group)
    return half(b, 0) * scale * code - half(b, 2) * low


def one_q5_k(b: bytes, i: int) -> float:
    return one_q4_k(b, i, 48, (b[16 + i % 32] >> i // 32 & 1) << 4)


def one_q6_k(b: bytes, i: int) -> float:
    part, rest = divmod(i, 128)
    quarter, at = divmod(rest, 32)
    byte = b[part * 64 + at + (32 if quarter % 2 else 0)]
    low = byte >> 4 if quarter >= 2 else byte & 15
    code = (low | (b[128 + part * 32 + at] >> 2 * quarter & 3) << 4) - 32
    return half(b, 208) * signed(b[192 + i // 16]) * code


@pytest.mark.parametrize(
    ("decode", "one", "size", "values", "halves"),
    [
        (q8_0, one_q8_0, 34, 32, (0,)),
        (q4_0, one_q4_0, 18, 32, (0,)),
        (q4_1, one_q4_1, 20, 32, (0, 2)),
        (q5_0, one_q5_0, 22, 32, (0,)),
        (q5_1, one_q5_1, 24, 32, (0, 2)),
        (q4_k, one_q4_k, 144, 256, (0, 2)),
        (q5_k, one_q5_k, 176, 256, (0, 2)),
        (q6_k, one_q6_k, 210, 256, (208,)),
    ],
)
def test_blocks_decode_value_by_value(
    decode: Callable[[np.ndarray], np.ndarray],
    one: Callable[[bytes, int], float],
    size: int,
    values: int,
    halves: tuple[int, ...],
) -> None:
    blocks = np.random.default_rng(size).integers(0, 256, (3, size), np.uint8)
    for at in halves:  # random bytes could be NaN
        blocks[:, at : at + 2] = np.array([[0.5], [-0.125], [3.0]], np.float16).view(np.uint8)
    expected = [one(block.tobytes(), i) for block in blocks for i in range(values)]
    assert decode(blocks.reshape(-1)).tolist() == pytest.approx(expected, rel=1e-6)


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
    file = Gguf(gguf_file({"odd": ((32,), 16, bytes(32))}))
    for name, words in (("odd", "encoding 16.*Q4_K"), ("absent", "missing")):
        with pytest.raises(LoadlabError, match=f"'{name}'.*{words}"):
            file.tensor(name)


def test_half_precisions() -> None:
    halves = np.array([1.5, -2, 65504], np.float16)
    brains = np.array([0x3FC0, 0xC000, 0x7F7F], np.uint16)
    file = Gguf(gguf_file({"h": ((3,), 1, halves.tobytes()), "b": ((3,), 30, brains.tobytes())}))
    assert file.tensor("h").tolist() == [1.5, -2, 65504]
    assert file.tensor("b").tolist()[:2] == [1.5, -2]
    assert file.tensor("b")[2] == pytest.approx(3.3895e38, rel=1e-4)


def test_a_file_on_disk_that_ends_early_says_so(tmp_path: Path) -> None:
    whole = gguf_file({"w": ((64,), 0, bytes(256))})
    (tmp_path / "cut.gguf").write_bytes(whole[:-100])
    with pytest.raises(LoadlabError, match=r"cut\.gguf is cut"):
        Gguf.open(tmp_path / "cut.gguf").tensor("w")
    (tmp_path / "empty.gguf").write_bytes(b"")
    for name in ("empty.gguf", "absent.gguf"):
        with pytest.raises(LoadlabError, match=f"cannot read.*{name}"):
            Gguf.open(tmp_path / name)
