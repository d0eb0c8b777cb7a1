"""Pages and figures taken away: every number, every page, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator

import dashboard_data as made
import pytest
from flask.testing import FlaskClient

import dashboard
import loadlab.store
from dashboard import collected

RUN = "20261121-091502-a1b2"
EVIL = '=HYPERLINK("http://evil.example")'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    with loadlab.store.open(f"sqlite:///{tmp_path_factory.mktemp('exports')}/runs.db") as store:
        made.fill(store, made.sweep(RUN, users=(2, 16), requests=30, failing=0.3))
        yield dashboard.create_app(store).server.test_client()


def rows(client: FlaskClient, figure: str, path: str, search: str = "") -> list[dict[str, str]]:
    asked = client.get("/export/rows.csv", query_string={"figure": figure, "path": path, "search": search})
    assert asked.status_code == 200
    assert asked.headers["Content-Disposition"] == f'attachment; filename="loadlab-{figure}.csv"'
    return list(csv.DictReader(io.StringIO(asked.get_data(as_text=True))))


def test_the_csv_of_a_distribution_has_every_sample(client: FlaskClient) -> None:
    found = rows(client, "distribution", f"/run/{RUN}", "?tab=distributions&metric=e2e_ms")
    assert set(found[0]) == {"load", "e2e_ms"}
    light = [float(row["e2e_ms"]) for row in found if row["load"] == "2 users"]
    assert len(light) == 30
    assert light == sorted(light)
    assert any(len(row["e2e_ms"].split(".")[-1]) > 3 for row in found)  # not rounded for the eye


def test_a_figure_without_rows_of_its_own_gives_its_points(client: FlaskClient) -> None:
    found = rows(client, "errors", f"/run/{RUN}", "?tab=errors")
    assert set(found[0]) >= {"series", "x", "y"}
    assert all(float(row["y"]) >= 0 for row in found)


def test_a_figure_that_is_none_is_said(client: FlaskClient) -> None:
    asked = client.get("/export/rows.csv?figure=nothing&path=/tradeoff")
    assert asked.status_code == 404
    assert "It has: tradeoff" in asked.get_data(as_text=True)


def test_cells_that_a_spreadsheet_would_run_are_inert(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = collected.offer
    hostile = [{"name": EVIL, "n": -1.5}, {"name": "@x", "n": 2.0}]
    monkeypatch.setattr("dashboard.components.offer", lambda name, _: offered(name, hostile))
    found = rows(client, "tradeoff", "/tradeoff")
    assert [row["name"] for row in found] == [f"'{EVIL}", "'@x"]
    assert found[0]["n"] == "-1.5"


@pytest.mark.parametrize(
    ("path", "search", "figures", "words"),
    [
        ("/", "", 0, "Latest run"),
        ("/tradeoff", "?x=users", 2, "Throughput vs latency"),
        (f"/run/{RUN}", "", 0, "Percentiles at 2 users"),
        (f"/run/{RUN}", "?tab=time", 2, "Density"),
        (f"/run/{RUN}/request/0-3", "", 1, "Waits between arrivals"),
        ("/nope", "", 0, "No such page"),
    ],
)
def test_a_page_as_one_file(client: FlaskClient, path: str, search: str, figures: int, words: str) -> None:
    asked = client.get("/export/page.html", query_string={"path": path, "search": search})
    text = asked.get_data(as_text=True)
    assert asked.status_code == 200
    assert re.search(r"<h1>[^<]+</h1>", text)
    assert words in text
    assert re.search(r"<footer>[^<]*loadlab [^<]*</footer>", text)
    assert text.count('<script type="application/json">') == figures
    assert not re.search(r'(?:src|href)="(?!data:)', re.sub(r"<script>.*?</script>", "", text, flags=re.S))
    for held in re.findall(r'<script type="application/json">(.*?)</script>', text, re.S):
        drawn = json.loads(held)
        assert drawn["light"]["layout"]["template"] != drawn["dark"]["layout"]["template"]
