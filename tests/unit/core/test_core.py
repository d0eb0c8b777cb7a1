import json
import re
from pathlib import Path

import pytest

from loadlab.core import config
from loadlab.core.errors import ExitCode, LoadlabError, UnknownNameError, UsageError
from loadlab.core.finder import beside, find
from loadlab.core.metrics import METRICS
from loadlab.core.nouns import Endpoint, Level, Price, Run


def test_a_run_survives_json() -> None:
    run = Run(
        "r", "chat", "/x/chat.py", Endpoint("http://h/v1", "m", labels={"a": "b"}),
        (Level(0, users=3, requests=9), Level(1, rate=2.5, arrivals="poisson", duration_s=4.0)),
        7, 60.0, 123, 456, price=Price("p", "hour", "somewhere", "2026-01-01", usd_per_hour=1.5),
    )  # fmt: skip
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_offered_leaves_out_what_does_not_apply() -> None:
    assert Level(0, users=3, requests=9).offered == {
        "users": 3,
        "arrivals": "closed",
        "requests": 9,
        "warmup_s": 0.0,
    }


def test_every_error_of_the_tree_has_an_exit_code_of_the_table() -> None:
    def tree(kind: type[LoadlabError]) -> set[type[LoadlabError]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    assert {kind.exit_code for kind in tree(LoadlabError)} <= set(ExitCode)


def test_names_carry_their_unit() -> None:
    known = re.compile(r"(_ms|_per_s|_rate|usd|usd_per_mtok_\w+|co2e_kg|_percent|_w|_j|j_per_output_token)$")
    assert [name for name in METRICS if not known.search(name)] == []


def test_find_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"shape 'poison' is not known; did you mean 'poisson'\?"):
        find("shapes", "shape", "poison", {"poisson": "x:y"})


def test_what_lies_beside_the_package_is_found() -> None:
    assert (Path(next(iter(beside("scenarios").__path__))) / "chat.py").is_file()


def write(folder: Path, text: str) -> None:
    (folder / "loadlab.toml").write_text(text)


def test_a_target_of_the_nearest_file(tmp_path: Path) -> None:
    write(
        tmp_path, '[targets.a]\nurl = "http://h/v1"\nmodel = "m"\napi_key_env = "KEY"\nprice = "cpu-hour"\n'
    )
    below = tmp_path / "below"
    below.mkdir()
    assert config.target("a", config.load(below)) == Endpoint(
        "http://h/v1", "m", "a", dialect="", auth_env="KEY", price="cpu-hour"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[targets.local]\nmodel = 'm'", "neither a url nor a profile"),
        ("[targets.local]\nurl = 'x'\napi_key = 'secret'", "unknown key 'api_key'"),
        ("[targets.locla]\nurl = 'x'", "did you mean 'locla'"),
    ],
)
def test_a_bad_target_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UsageError, match=re.escape(words)):
        config.target("local", config.load(tmp_path))


def test_bad_toml_says_where(tmp_path: Path) -> None:
    write(tmp_path, "[targets\n")
    with pytest.raises(UsageError, match="line 1"):
        config.load(tmp_path)


def test_the_flag_wins_then_the_variable_then_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = {"store": {"url": "sqlite:///file.db"}}
    monkeypatch.delenv("LOADLAB_DB", raising=False)
    assert config.store_url(None, {}) == "sqlite:///loadlab.db"
    assert config.store_url(None, file) == "sqlite:///file.db"
    monkeypatch.setenv("LOADLAB_DB", "sqlite:///variable.db")
    assert config.store_url(None, file) == "sqlite:///variable.db"
    assert config.store_url("sqlite:///flag.db", file) == "sqlite:///flag.db"
