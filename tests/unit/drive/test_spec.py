from pathlib import Path
from typing import Any

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.drive import spec


def levels(**given: Any) -> tuple[Level, ...]:
    nothing: dict[str, Any] = dict.fromkeys(("users", "rates", "arrivals", "requests", "duration_s"))
    return spec.levels(**{**nothing, "warmup_s": 0.0, **given})


def test_one_user_for_half_a_minute_unless_told_otherwise() -> None:
    assert levels() == (Level(0, users=1, duration_s=30.0),)


def test_a_level_for_each_entry() -> None:
    assert levels(users=[1, 8], requests=5) == (Level(0, users=1, requests=5), Level(1, users=8, requests=5))
    assert levels(rates=[2.5], requests=5) == (Level(0, rate=2.5, arrivals="poisson", requests=5),)
    assert levels(rates=[2.5], requests=5, arrivals="constant")[0].arrivals == "constant"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"users": [1], "rates": [1.0]}, "exclude each other"),
        ({"users": [4, 0]}, "--users 0 is no load"),
        ({"rates": [-1.5]}, "--rate -1.5 is no load"),
        ({"requests": 0}, "--requests 0"),
        ({"duration_s": 0.0}, "--duration 0"),
        ({"arrivals": "poisson"}, "give --rate"),
        ({"rates": [1.0], "arrivals": "poison"}, "did you mean 'poisson'"),
        ({"duration_s": 5.0, "warmup_s": 5.0}, "leaves nothing"),
    ],
)
def test_contradictions_are_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        levels(**given)


def test_a_scenario_by_name_by_path_and_by_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spec.find_scenario("chat").name == "chat.py"
    own = tmp_path / "scenarios" / "chat.py"
    own.parent.mkdir()
    own.touch()
    monkeypatch.chdir(tmp_path)
    assert spec.find_scenario("chat") == own
    assert spec.find_scenario(str(own)) == own
    with pytest.raises(UnknownNameError, match="did you mean 'chat'"):
        spec.find_scenario("chatt")
    with pytest.raises(UsageError, match="does not exist"):
        spec.find_scenario("nowhere.py")


def build(**given: Any) -> Run:
    usual: dict[str, Any] = {"seed": None, "timeout_s": 60.0}
    return spec.build(
        spec.find_scenario("chat"), Endpoint("http://h/v1", "m"), levels(), **{**usual, **given}
    )


def test_a_drawn_seed_is_kept_and_ids_differ() -> None:
    first, second = build(), build()
    assert first.seed != second.seed
    assert first.id != second.id
    assert build(seed=5).seed == 5


@pytest.mark.parametrize(
    "given", [{"max_tokens": 0}, {"prompt_tokens": -1}, {"timeout_s": 0.0}, {"processes": 0}]
)
def test_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        build(**given)
