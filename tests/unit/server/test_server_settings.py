"""Settings: what cannot be served is refused with the way out."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server import settings as module
from loadlab.server.settings import Settings, served_name
from loadlab.server.techniques import Techniques


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(engine="simm"), "did you mean 'sim'"),
        (Settings(model="tinny"), "did you mean 'tiny'"),
        (Settings(engine="sim", model="gpt-4"), "'sim' in them"),
        (Settings(model="tiny", device="gpu"), "device 'gpu'"),
        (Settings(engine="sim", port=70_000), "70000"),
        (Settings(engine="sim", fail_rate=1.5), "1.5"),
        (Settings(engine="sim", host="0.0.0.0"), "--api-key-env"),
        (Settings(engine="sim", max_waiting=-1), "--max-waiting"),
        (Settings(engine="sim", frontends=0), "--frontends"),
        (Settings(engine="sim", frontends=2), "one true schedule"),
        (Settings(engine="sim", max_body_mib=0), "--max-body-mib"),
        (Settings(engine="sim", response_cache_ttl_s=0), "--response-cache-ttl"),
        (Settings(model="tiny", route_model="tiny"), "served already"),
        (Settings(model="tiny", route_model="tinny"), "did you mean 'tiny'"),
        (Settings(model="tiny", techniques=Techniques(quant="int3")), "quant 'int3'"),  # type: ignore[arg-type]
        (Settings(model="tiny", techniques=Techniques(block_size=0)), "--block-size 0"),
        (Settings(model="tiny", techniques=Techniques(speculate="draft")), "--draft-model"),
        (Settings(engine="sim", techniques=Techniques(prefix_cache=False)), "--prefix-cache"),
        (Settings(engine="sim", api_key_env="LOADLAB_NO_SUCH_VARIABLE"), "LOADLAB_NO_SUCH_VARIABLE"),
    ],
)
def test_refusals(settings: Settings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        settings.check()


def test_the_engine_follows_from_the_model() -> None:
    assert Settings(model="llama-sim").resolved_engine() == "sim"
    assert Settings(model="tiny").resolved_engine() == "torch"
    assert Settings().resolved_model() == "smollm2-135m"
    assert Settings(engine="sim").resolved_model() == "sim"


def test_a_file_is_a_real_model_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "simple.gguf"
    path.touch()
    settings = Settings(model=str(path))
    settings.check()
    assert settings.resolved_engine() == "torch"
    assert served_name(settings.resolved_model()) == "simple"


def test_a_key_opens_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    Settings(engine="sim", host="0.0.0.0", api_key_env="MY_KEY").check()


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(name: str) -> importlib.machinery.ModuleSpec | None:
        return None if name == "torch" else importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(module, "find_spec", without_torch)
    with pytest.raises(UsageError, match=r"needs torch; install with: pip install 'loadlab\[server\]'"):
        Settings(model="tiny").check()


def test_unknown_names_are_usage_errors() -> None:
    assert issubclass(UnknownNameError, UsageError)
