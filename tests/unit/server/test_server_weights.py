"""Weights: a wrong byte is found and named before it can speak."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadlab.core.errors import LoadlabError
from loadlab.server import weights, wheels


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOADLAB_CACHE", str(tmp_path))
    return tmp_path


def test_a_file_with_another_hash_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"not what was saved")
    with pytest.raises(LoadlabError, match=r"model\.safetensors is damaged.*delete"):
        wheels.check_sha256(file, "0" * 64)


@pytest.mark.torch
def test_a_wheel_that_is_not_the_pinned_one_is_refused(cache: Path) -> None:
    pytest.importorskip("safetensors", reason="needs the server extra")
    wheel = cache / "wheels" / weights.WHEEL.file
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


def test_a_folder_is_made_once_and_whole_or_not_at_all(cache: Path) -> None:
    made = []

    def make(folder: Path) -> dict[str, str]:
        made.append(folder)
        (folder / "a").write_bytes(b"1")
        if len(made) == 1:
            raise LoadlabError("half way")
        return {"source": "here"}

    with pytest.raises(LoadlabError, match="half way"):
        wheels.kept("thing", make)
    assert list(cache.iterdir()) == []
    for _ in range(2):
        folder, manifest = wheels.kept("thing", make)
        assert manifest["source"] == "here"
        assert [file.name for file in sorted(folder.iterdir())] == ["a", "manifest.json"]
    assert len(made) == 2


@pytest.mark.torch
def test_a_model_that_is_neither_known_nor_a_file_says_so(cache: Path) -> None:
    with pytest.raises(LoadlabError, match=r"smollm2-135m.*tiny"):
        weights.load("/no/such/model.gguf")
