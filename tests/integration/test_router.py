"""A scenario that routes over two endpoints: two vendors, each decoded, priced and counted on its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadlab import store
from loadlab.core.errors import ExitCode
from tests.integration.conftest import document, loadlab, recorded
from tests.integration.test_spend_guard import Vendor

TARGETS = """
[targets.small]
url = "{small}"
model = "vendor-model"
price = "cheap"

[targets.large]
url = "{large}"
model = "vendor-model"
price = "dear"

[prices.cheap]
usd_per_request = 0.001
as_of = "2026-11-01"

[prices.dear]
input_usd_per_mtok = 10.0
output_usd_per_mtok = 200.0
as_of = "2026-11-01"
"""
SCENARIO = """
from locust import task
from loadlab.drive import StreamUser

class Visitor(StreamUser):
    turn = 0

    @task
    def ask(self):
        Visitor.turn += 1
        self.send(self.next_request(), to="large" if Visitor.turn % 4 == 0 else None)
"""


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[tuple[Vendor, Vendor]]:
    small, large = Vendor(), Vendor()
    large.delay_s = 0.1
    (tmp_path / "loadlab.toml").write_text(TARGETS.format(small=small.url(), large=large.url()))
    (tmp_path / "every_fourth.py").write_text(SCENARIO)
    yield small, large
    small.close()
    large.close()


def run(folder: Path, scenario: str, *flags: str) -> dict[str, object]:
    done = loadlab("run", scenario, "--target", "small", "--json", *flags, cwd=folder)
    assert recorded(done), done.stderr
    return document(done)


def test_each_route_is_asked_decoded_and_priced_on_its_own(
    vendors: tuple[Vendor, Vendor], tmp_path: Path
) -> None:
    small, large = vendors
    found = run(tmp_path, "every_fourth.py", "--route", "large=large", "--users", "1", "--requests", "20")
    assert (small.billed, large.billed) == (15, 5)
    (level,) = found["levels"]  # type: ignore[misc]
    # 15 at a tenth of a cent; 5 at 1,000 × $10/Mtok + 50 × $200/Mtok = 2 ct.
    assert level["cost"]["usd"] == pytest.approx(15 * 0.001 + 5 * 0.02)
    assert level["cost"]["wasted_usd"] == 0
    assert level["cost"]["remarks"][:2] == [
        "route small: 15 of 20 requests, $0.0150", "route large: 5 of 20 requests, $0.100",
    ]  # fmt: skip
    with store.open(f"sqlite:///{tmp_path}/loadlab.db", create=False) as opened:
        rows = opened.requests(opened.run("latest").id)
        routes = opened.run("latest").spec.routes
    assert [(route.name, route.price.name) for route in routes if route.price] == [("large", "dear")]
    slow = rows[rows["route"] == 1]
    assert len(slow) == 5
    assert (slow["done_ns"] - slow["sent_ns"]).min() > 0.09e9
    assert set(slow["cost_nano_usd"]) == {20_000_000}


def test_the_bundled_router_goes_by_length(vendors: tuple[Vendor, Vendor], tmp_path: Path) -> None:
    small, large = vendors
    run(tmp_path, "router", "--route", "large=large", "--users", "4", "--requests", "60")
    assert small.billed + large.billed == 60
    assert 0 < large.billed < 60


def test_the_measured_mix_is_what_two_runs_foretell(vendors: tuple[Vendor, Vendor], tmp_path: Path) -> None:
    for target in ("small", "large"):
        loadlab("run", "chat", "--target", target, "--requests", "8", "--label", target, cwd=tmp_path)
    found = run(tmp_path, "every_fourth.py", "--route", "large=large", "--users", "1", "--requests", "20")
    (level,) = found["levels"]  # type: ignore[misc]
    with store.open(f"sqlite:///{tmp_path}/loadlab.db", create=False) as opened:
        runs = opened.runs()
        small, large = (runs[runs["label"] == name]["id"].iloc[0] for name in ("small", "large"))
    done = loadlab("cost", "mix", small, large, "--share", "0.25", "--json", cwd=tmp_path)
    mix = json.loads(done.stdout)["mix"]
    assert mix["usd_per_request"] == pytest.approx(level["cost"]["usd"] / 20)


def test_the_cap_counts_both_routes(vendors: tuple[Vendor, Vendor], tmp_path: Path) -> None:
    small, large = vendors
    done = loadlab(
        "run", "every_fourth.py", "--target", "small", "--route", "large=large", "--users", "2", "--duration",
        "30s", "--max-tokens", "50", "--max-cost", "0.2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    spent = small.billed * 0.001 + large.billed * 0.02
    assert 0.2 <= spent <= 0.2 + 2 * 0.02


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--route", "large"), "--route 'large' is not understood"),
        (("--route", "large=nobody"), "target 'nobody' is not known"),
        (("--route", "a=large", "--route", "a=small"), "--route a is given twice"),
        ((), "route (--route NAME=TARGET) 'large' is not known"),
    ],
)
def test_a_route_that_is_not_there(
    vendors: tuple[Vendor, Vendor], tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    done = loadlab("run", "every_fourth.py", "--target", "small", "--requests", "8", *flags, cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert words in done.stderr
