"""`loadlab plan` and `loadlab report capacity` on a real SQLite store: faces, exit codes, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dashboard_data as made
import pytest
from typer.testing import CliRunner, Result

import loadlab.store
from loadlab.cli.app import app
from loadlab.core.errors import ExitCode, LoadlabError, MeasurementError, NoDataError, SloError, UsageError

SWEEP, AGAIN = "20261121-091502-a1b2", "20261121-101502-b2c3"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = f"sqlite:///{tmp_path_factory.mktemp('plan')}/runs.db"
    with loadlab.store.open(where) as opened:
        made.fill(
            opened,
            made.sweep(SWEEP),
            made.sweep(AGAIN, age_s=60),
            made.sweep("20261120-other", model="other", age_s=120),
            made.sweep("20261119-failed", users=(4,), failing=1.0, age_s=180),
        )
    return where


def call(url: str, *words: str) -> Result:
    result = CliRunner().invoke(app, [*words, "--db", url])
    if result.exception and not isinstance(result.exception, SystemExit | LoadlabError):
        raise result.exception
    return result


def document(url: str, *words: str) -> dict[str, Any]:
    found = json.loads(call(url, "plan", *words, "--json").stdout)
    assert found["schema"] == 1
    return dict(found["plan"])


def test_json_text_and_markdown_say_the_same(url: str) -> None:
    words = (SWEEP, "--peak-rate", "40")
    plan = document(url, *words)
    text, page = call(url, "plan", *words).stdout, call(url, "plan", *words, "--format", "markdown").stdout
    assert plan["replicas"] == 10
    assert " ".join(text.split()).startswith(plan["answer"])
    assert page.startswith(f"### {plan['answer']}")
    assert plan["parts"][0]["measure_next"].startswith("loadlab sweep chat")


def test_two_runs_are_repeats_of_one_sweep(url: str) -> None:
    plan = document(url, SWEEP, AGAIN, "--peak-rate", "40")
    assert len(plan["parts"][0]["runs"]) == 2
    assert not any("measured once" in doubt for doubt in plan["parts"][0]["doubts"])


def test_a_mix_of_models(url: str) -> None:
    plan = document(url, "--mix", f"{SWEEP}=70%", "--mix", "20261120=30%", "--peak-rate", "40")
    assert [part["share"] for part in plan["parts"]] == pytest.approx([0.7, 0.3])
    assert [part["model"] for part in plan["parts"]] == ["smollm2-135m", "other"]
    assert plan["replicas"] == sum(part["replicas"] for part in plan["parts"])


def test_a_day_has_policies(url: str, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(
        "hour,rate\n" + "\n".join(f"{hour},{2 + hour % 12}" for hour in range(24))
    )
    plan = document(url, SWEEP, "--day", str(tmp_path / "day.csv"), "--growth", "3%", "--months", "12")
    assert [course["policy"] for course in plan["policies"]] == ["static", "scheduled", "reactive", "oracle"]
    assert plan["mean_per_s"] == pytest.approx(7.5 * 1.03**12)


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        ((SWEEP, "--peak-rate", "40", "--slo", "ttft_ms.p95=10"), SloError, ExitCode.GATE_FAILED),
        (("20261119", "--peak-rate", "40"), SloError, ExitCode.GATE_FAILED),
        ((SWEEP, "--peak-rate", "40", "--slo", "ttft_ms.p99=500"), MeasurementError, ExitCode.UNTRUSTED),
        (("nothing", "--peak-rate", "40"), NoDataError, ExitCode.NO_DATA),
        ((SWEEP,), UsageError, ExitCode.USAGE),
        ((SWEEP, "--peak-rate", "40", "--mean-rate", "2"), UsageError, ExitCode.USAGE),
        ((SWEEP, "--peak-rate", "40", "--slo", "nonsense"), UsageError, ExitCode.USAGE),
        ((SWEEP, "20261120", "--peak-rate", "40"), UsageError, ExitCode.USAGE),
        ((SWEEP, "--mix", f"{SWEEP}=1", "--peak-rate", "40"), UsageError, ExitCode.USAGE),
        ((SWEEP, "--peak-rate", "40", "--growth", "lots"), UsageError, ExitCode.USAGE),
        ((SWEEP, "--peak-rate", "40", "--format", "pdf"), UsageError, ExitCode.USAGE),
    ],
)
def test_each_refusal_has_its_exit_code(
    url: str, words: tuple[str, ...], error: type[LoadlabError], code: ExitCode
) -> None:
    result = call(url, "plan", *words)
    assert isinstance(result.exception, error)
    assert result.exception.exit_code == code


def test_the_report_is_one_file_that_asks_nobody(url: str, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    words = (SWEEP, "--peak-rate", "40", "--api-price", "openai/gpt-5-mini")
    assert call(url, "report", "capacity", *words, "--html", str(page)).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "10 replicas of smollm2-135m" in text
    assert all(f'id="chart-{name}"' in text for name in ("replicas", "requirement-0", "levers", "even"))
    assert "default-src 'none'" in text
    markdown = call(url, "report", "capacity", *words).stdout
    assert markdown.startswith("# Capacity plan: smollm2-135m")
    assert json.loads(call(url, "report", "capacity", *words, "--json").stdout)["plan"]["replicas"] == 10
