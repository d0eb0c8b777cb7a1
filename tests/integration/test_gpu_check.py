"""scripts/gpu_check.py runs where there is no GPU, and its tables are whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the server extra")

pytestmark = pytest.mark.torch
SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_check.py"


def check(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", "--model", "tiny", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_tokens_are_equal_under_every_setting() -> None:
    done = check("--only", "exactness")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\| (\d+) of (\d+) \|", done.stdout) == [("128", "128")] * 5


def test_speeds_come_as_tables_without_empty_cells() -> None:
    done = check("--only", "limits")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row[0].strip() for row in rows[2:]] == ["1", "8", "32"]
    assert {len(row) for row in rows} == {9}
    assert all(cell.strip() for row in rows for cell in row)
    assert all(float(row[4].replace(",", "")) > 0 for row in rows[2:])


def test_a_model_that_is_not_there_is_named() -> None:
    done = check("--model", "/no/such.gguf")
    assert done.returncode == 2
    assert "/no/such.gguf" in done.stderr
    assert "Traceback" not in done.stderr
