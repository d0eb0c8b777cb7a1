from pathlib import Path
from typing import Any

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.drive import spec


def levels(**given: Any) -> tuple[Level, ...]:
    return spec.levels(**{"warmup_s": 0.0, **given})


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
        ({"arrivals": "poisson"}, "--arrivals does not go with --users"),
        ({"rates": [1.0], "arrivals": "poison"}, "did you mean 'poisson'"),
        ({"rates": [1.0], "arrivals": "gamma"}, "--cv go together"),
        ({"rates": [1.0], "cv": 2.0}, "--cv go together"),
        ({"rates": [1.0], "arrivals": "gamma", "cv": -1.0}, "--cv -1"),
        ({"rates": [1.0], "think_s": 1.0}, "--think does not go with --rate"),
        ({"users": [1], "max_in_flight": 3}, "--max-in-flight does not go with --users"),
        ({"rates": [1.0], "speed": 2.0}, "--speed does not go with --rate"),
        ({"profile": "0s:1,9s:2", "users": [3]}, "exclude each other"),
        ({"profile": "nonsense"}, "0s:2,30s:20"),
        ({"trace": "/no/such/file"}, "/no/such/file"),
        ({"duration_s": 5.0, "warmup_s": 5.0}, "leaves nothing"),
    ],
)
def test_contradictions_are_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        levels(**given)


def test_a_profile_is_one_level_of_its_mean_rate_and_length() -> None:
    assert levels(profile="0s:10,10s:30") == (
        Level(0, rate=20.0, arrivals="poisson", profile="0s:10,10s:30", duration_s=10.0),
    )


def test_a_trace_is_one_level_of_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"timestamp": {at}}}\n' for at in (0, 500, 1000, 1500, 2000)))
    (level,) = levels(trace=str(path), speed=2.0)
    assert (level.arrivals, level.rate, level.speed, level.trace) == ("trace", 5.0, 2.0, str(path))


def test_a_cap_leaves_every_process_a_place() -> None:
    with pytest.raises(UsageError, match="leaves some of --processes 4"):
        spec.build(
            spec.find_scenario("chat"), Endpoint("http://h/v1", "m"), levels(rates=[1.0], max_in_flight=3),
            seed=1, timeout_s=60.0, processes=4,
        )  # fmt: skip


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
