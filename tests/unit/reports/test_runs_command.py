"""`loadlab runs` on a real SQLite store."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loadlab import store
from loadlab.cli.runs import app
from loadlab.core import nouns
from loadlab.core.errors import ExitCode, NoDataError, UnknownNameError, UsageError

S = 1_000_000_000
MS = 1_000_000


def _result(seq: int, error_kind: str | None = None) -> nouns.Result:
    sent = 100 * S + seq * 100 * MS
    arrivals = [] if error_kind else [sent + 50 * MS + at * 10 * MS for at in range(3)]
    return nouns.Result(
        level=0, worker=0, seq=seq, warmup=False, planned_ns=sent, sent_ns=sent, connect_ns=0, tls_ns=0,
        reused=True, retries=0, first_byte_ns=None, first_event_ns=None,
        first_token_ns=arrivals[0] if arrivals else None, first_answer_ns=None,
        last_token_ns=arrivals[-1] if arrivals else None, done_ns=sent + 80 * MS, status=200,
        error_kind=error_kind, error_detail=error_kind and "=1+1", finish_reason="stop", max_tokens=100,
        prompt_tokens=10, cached_tokens=0, output_tokens=None if error_kind else 3, reasoning_tokens=None,
        chunks=len(arrivals), count_source=None if error_kind else "usage", cost_nano_usd=None,
        arrivals_ns=arrivals,
    )  # fmt: skip


def _run(run_id: str, started_at_s: int) -> nouns.Run:
    return nouns.Run(
        id=run_id, scenario="chat", scenario_path="scenarios/chat.py",
        endpoint=nouns.Endpoint("http://127.0.0.1:8000/v1", "org/a-model-with-a-long-name", name="local"),
        levels=(nouns.Level(0, users=8, requests=4),), seed=1, timeout_s=60, clock_ns=100 * S,
        started_at_ns=started_at_s * S, unpriced="unpriced: no price was given",
    )  # fmt: skip


@pytest.fixture
def url(sqlite_url: str) -> str:
    """Two runs of four requests, one of which failed; the newer one is judged."""
    with closing(store.open(sqlite_url)) as database:
        for at, run_id in enumerate(("20261121-101010-aaaa", "20261121-101011-bbbb")):
            database.begin_run(_run(run_id, 1_795_256_230 + at))
            database.begin_level(run_id, nouns.Level(0, users=8, requests=4), 100 * S)
            results = [_result(seq, "timeout" if seq == 3 else None) for seq in range(4)]
            database.write(run_id, results, [])
            database.finish_level(run_id, 0, 101 * S)
            database.finish_run(run_id, "finished")
        database.set_verdict("20261121-101011-bbbb", "SUSPECT", ["a reason"])
    return sqlite_url


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_list_is_newest_first_and_fits(url: str) -> None:
    lines = call("list", "--db", url).stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == (
        ["id", "when", "(UTC)", "scenario", "target", "model", "lv", "reqs", "fail", "state", "verdict"]
    )
    assert [line.split()[0] for line in lines[1:]] == ["20261121-101011-bbbb", "20261121-101010-aaaa"]
    assert lines[1].split()[-5:] == ["1", "4", "1", "finished", "SUSPECT"]
    assert lines[2].split()[-1] == "–"


def test_list_as_json(url: str) -> None:
    found = json.loads(call("list", "--db", url, "--json", "--limit", "1").stdout)
    assert found["schema"] == 1
    assert len(found["runs"]) == 1
    run = found["runs"][0]
    assert (run["id"], run["levels"], run["requests"], run["failed"]) == ("20261121-101011-bbbb", 1, 4, 1)
    assert (run["verdict"], run["reasons"]) == ("SUSPECT", ["a reason"])
    assert run["started_at"] == "2026-11-21T10:17:11+00:00"
    everything = json.loads(call("list", "--db", url, "--json").stdout)["runs"]
    assert everything[1]["verdict"] is None


def test_show_prints_what_the_rows_say(url: str) -> None:
    text = call("show", "20261121-101010", "--db", url).stdout
    assert text.startswith("SUSPECT  1 of 4 requests failed (25.0%), limit 1%\n")
    assert "errors    1 timeout: =1+1" in text
    assert "loadlab runs show 20261121-101010-aaaa" in text


def test_show_as_json_is_the_document_of_the_newest_run(url: str) -> None:
    found = json.loads(call("show", "latest", "--db", url, "--json").stdout)
    assert found["run"]["id"] == "20261121-101011-bbbb"
    level = found["levels"][0]
    assert level["requests"] == {"sent": 4, "ok": 3, "failed": 1, "errors": {"timeout": 1}, "warmup": 0}
    assert level["metrics"]["ttft_ms"]["p50"] == 50
    assert (level["metrics"]["itl_ms"]["n"], level["metrics"]["itl_ms"]["p99"]) == (6, 10)


def test_export_csv_to_stdout_and_to_a_file(url: str, tmp_path: Path) -> None:
    text = call("export", "latest", "--db", url).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["seq"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[3]["error_detail"] == "'=1+1"
    file = tmp_path / "requests.csv"
    result = call("export", "latest", "--db", url, "-o", str(file))
    assert file.read_text() == text
    assert result.stdout == ""
    assert result.stderr == f"wrote {file}: {len(text):,} bytes\n"


def test_export_json_and_markdown(url: str) -> None:
    exported = json.loads(call("export", "latest", "--db", url, "--format", "json").stdout)
    assert exported == json.loads(call("show", "latest", "--db", url, "--json").stdout)
    assert call("export", "latest", "--db", url, "-f", "markdown").stdout.startswith("### SUSPECT: chat on ")


def test_an_unknown_format_names_the_nearest(url: str) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'markdown'"):
        call("export", "latest", "--db", url, "--format", "markdow")


def test_a_place_that_cannot_be_written_is_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write '.*/no/such': No such file or directory"):
        call("export", "latest", "--db", url, "-o", f"{tmp_path}/no/such")


def test_an_empty_store_says_what_to_run_next(sqlite_url: str) -> None:
    store.open(sqlite_url).close()
    with pytest.raises(NoDataError, match="loadlab run chat --url") as caught:
        call("list", "--db", sqlite_url)
    assert caught.value.exit_code == ExitCode.NO_DATA


def test_a_store_that_is_not_there_is_not_made(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="no database"):
        call("list", "--db", sqlite_url)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_run_is_no_data(url: str) -> None:
    with pytest.raises(NoDataError, match="'2027' is not in"):
        call("show", "2027", "--db", url)
