"""Addresses, versions of scenarios, and who is told what share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Level
from loadlab.drive import spec
from loadlab.drive.crew import Part, deal, loss
from loadlab.drive.host_agent import _own_copy
from loadlab.drive.hosts import Hosts, address, digest, is_loopback


class Told(Part):
    """A part that remembers what it was told."""

    def __init__(self, name: str, workers: int) -> None:
        super().__init__(name)
        self.workers = workers
        self.told: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.told.append(message)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost", ("localhost", 5557)),
        ("[::1]:9", ("[::1]", 9)),
        ("[::1]", ("[::1]", 5557)),
    ],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found
    assert is_loopback(found[0])


@pytest.mark.parametrize("text", [":5557", "host:port", "host:70000", ""])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="write it like"):
        address(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "[::]", "192.0.2.1", "load.example"])
def test_an_open_address_needs_saying_so(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="no password"):
        Hosts(1, f"{host}:1", allow_remote=False, collect=True, announce=print)
    Hosts(1, f"{host}:1", allow_remote=True, collect=True, announce=print)


def test_a_cap_that_leaves_some_with_none_is_refused() -> None:
    level = Level(0, rate=5.0, arrivals="poisson", requests=9, max_in_flight=3)
    path = spec.find_scenario("chat")
    run = spec.build(path, Endpoint("http://h/v1", "m"), (level,), seed=1, timeout_s=1.0, processes=3)
    hosts = Hosts(2, "127.0.0.1:0", allow_remote=False, collect=True, announce=print)
    assert hosts.brief(run)["files"] == {str(path): digest(path)}
    with pytest.raises(UsageError, match="leaves some of the 4"):
        hosts.brief(replace(run, processes=4))


def test_shares_are_dealt_without_a_gap() -> None:
    parts = [Told("a", 2), Told("b", 1), Told("c", 3)]
    deal(parts, 4, 10, do="level")
    assert [part.told for part in parts] == [
        [{"do": "level", "index": index, "count": 10}] for index in (4, 6, 7)
    ]


def test_a_loss_says_what_is_missing() -> None:
    part = Told("load worker 1", 1)
    part.counts = (12, 9, 0)
    assert "load worker 1 was lost during the run (signal 9)" in loss(part, "signal 9")
    assert "3 requests" in loss(part, "signal 9")


def test_a_host_runs_its_own_copy_if_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = spec.find_scenario("chat")
    monkeypatch.chdir(tmp_path)
    elsewhere = Path("/nowhere/chat.py")
    assert _own_copy(elsewhere, digest(bundled)) == bundled
    mine = tmp_path / "chat.py"
    mine.write_text("# another one\n")
    assert _own_copy(elsewhere, digest(mine)) == mine
    with pytest.raises(UsageError, match="copy"):
        _own_copy(elsewhere, "of a version that is nowhere")
