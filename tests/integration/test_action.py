"""action.yml as GitHub runs it: its steps in bash, what GitHub sets, a `gh` that takes notes, a real gate."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from loadlab.reports import gate_faces
from tests.integration.conftest import Sim

SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]  # what `shell: bash` means to GitHub
FAKE_GH = """#!/bin/sh
printf '%s|' "$@" >> "$CALLS"
echo "MARKER=$MARKER" >> "$CALLS"
case "$*" in *--paginate*) printf '%s' "$COMMENT_IDS" ;; esac
"""


@pytest.fixture(scope="module")
def action(repository: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((repository / "action.yml").read_text(encoding="utf-8"))
    return parsed


class Runner:
    """A runner: a folder with the files and the variables that GitHub gives to a step."""

    def __init__(self, action: dict[str, Any], folder: Path, **inputs: str) -> None:
        self.action, self.folder = action, folder
        defaults = {name: each.get("default", "") for name, each in action["inputs"].items()}
        self.inputs = {**defaults, **inputs}
        programs = folder / "bin"
        programs.mkdir()
        self._program(programs / "gh", FAKE_GH)
        self._program(programs / "loadlab", f'#!/bin/sh\nexec {sys.executable} -m loadlab "$@"\n')
        self.environ = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(folder / "calls"),
            "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "GITHUB_OUTPUT": str(folder / "outputs"), "COMMENT_IDS": "",
        }  # fmt: skip

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def step(self, name: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs one step as GitHub would."""
        step = next(each for each in self.action["runs"]["steps"] if each["name"] == name)
        given = {key: self._filled(value) for key, value in step["env"].items()}
        script = self.folder / f"{name}.sh"
        script.write_text(step["run"], encoding="utf-8")
        return subprocess.run(
            [*SHELL, script], cwd=self.folder, env={**self.environ, **given, **environ}, text=True,
            capture_output=True,
        )  # fmt: skip

    def _filled(self, text: str) -> str:
        known = {
            "github.repository": "acme/llm", "github.event.pull_request.number": "7", "github.token": "t0ken",
            "github.action_path": "/action",
        }  # fmt: skip
        known |= {f"inputs.{name}": value for name, value in self.inputs.items()}
        return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: known[match[1]], text)

    def calls(self) -> list[str]:
        """What gh was called with."""
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_the_action_is_well_made(action: dict[str, Any]) -> None:
    assert action["runs"]["using"] == "composite"
    assert action["name"]
    assert action["description"]
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        # What a caller gives is never pasted into a script.
        assert "${{" not in step["run"]
        assert subprocess.run(["bash", "-n", "-c", step["run"]], capture_output=True).returncode == 0
        if checker := shutil.which("shellcheck"):
            asked = [checker, "-s", "bash", "-"]
            done = subprocess.run(asked, input=step["run"], text=True, capture_output=True)
            assert done.returncode == 0, done.stdout
    text = json.dumps(action["runs"])
    assert set(re.findall(r"inputs\.(\w+)", text)) == action["inputs"].keys()
    for kind in ("junit", "html", "markdown", "json"):
        assert f"{kind}=$REPORT" in text
        gate_faces.known(kind)
    ids = [step.get("id") for step in action["runs"]["steps"]]
    assert set(re.findall(r"steps\.(\w+)\.", json.dumps(action["outputs"]))) <= set(ids)


def test_installing_is_left_out_where_it_is_there(action: dict[str, Any], tmp_path: Path) -> None:
    runner = Runner(action, tmp_path, extras="postgres")
    assert runner.step("install").returncode == 0
    (tmp_path / "bin/loadlab").unlink()
    said = '#!/bin/sh\necho "$@"\n'
    runner._program(tmp_path / "bin/python", said)
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    assert runner.step("install", PATH=path).stdout == (
        "-m pip install --quiet -c /action/constraints.txt /action[postgres]\n"
    )
    assert runner.step("install", PATH=path, EXTRAS="").stdout.endswith(" /action\n")


def config(folder: Path, slo: str) -> None:
    text = f'[gate]\nscenario = "chat"\nusers = 2\nrequests = 10\nmax_tokens = 2\nslo = ["{slo}"]\n'
    (folder / "loadlab.toml").write_text(text, encoding="utf-8")


@pytest.mark.timeout(400)
def test_a_gate_that_fails_fails_the_step_and_is_told(
    action: dict[str, Any], tmp_path: Path, sim: Sim
) -> None:
    config(tmp_path, "error_rate <= 0%")
    # Arguments over several lines, as YAML's | gives them, each word a word and none of them code.
    arguments = f"--url {sim.url}\n--seed 3\n--db sqlite:///of;touch${{IFS}}here.db\n"
    runner = Runner(action, tmp_path, arguments=arguments, comment="true")
    done = runner.step("gate")
    # A busy runner cannot time anything, and then says so: INVALID.
    assert done.returncode in (0, 4), done.stderr
    outcome = "PASS" if done.returncode == 0 else "INVALID"
    outputs = dict(line.split("=") for line in (tmp_path / "outputs").read_text().splitlines())
    assert outputs["outcome"] == outcome
    assert (tmp_path / "of;touch${IFS}here.db").exists()
    assert f"loadlab gate: {outcome}" in (tmp_path / "summary").read_text()
    suite = ElementTree.parse(tmp_path / "loadlab-gate.xml").getroot()[0]
    assert suite.get("failures") == "0"
    report = json.loads((tmp_path / "loadlab-gate.json").read_text())
    assert report["gate"]["id"] == outputs["gate"]
    assert report["gate"]["reproduce"].endswith("--seed 3")
    assert (tmp_path / "loadlab-gate.html").read_text().startswith("<!doctype html>")

    config(tmp_path, "ttft_ms.max <= 1ms")
    failed = runner.step("gate")
    assert failed.returncode in (1, 4), failed.stderr
    kind = "::error title=loadlab%3A FAIL" if failed.returncode == 1 else "::warning title=loadlab%3A the m"
    assert kind in failed.stderr
    last = (tmp_path / "outputs").read_text().splitlines()[-2]
    assert last == ("outcome=FAIL" if failed.returncode == 1 else "outcome=INVALID")

    assert runner.step("comment").returncode == 0
    listed, posted = runner.calls()
    assert listed.startswith("api|--paginate|repos/acme/llm/issues/7/comments|")
    assert listed.endswith("MARKER=<!-- loadlab gate chat -->")
    assert posted.startswith(
        "api|--method|POST|repos/acme/llm/issues/7/comments|--field|body=@loadlab-gate.md|"
    )
    assert runner.step("comment", COMMENT_IDS="11\n12\n").returncode == 0
    assert runner.calls()[-1].startswith("api|--method|PATCH|repos/acme/llm/issues/comments/11|")


def test_without_a_report_there_is_no_comment(action: dict[str, Any], tmp_path: Path) -> None:
    runner = Runner(action, tmp_path)
    assert runner.step("comment").returncode == 0
    assert runner.calls() == []
    assert runner.step("gate").returncode == 2  # no loadlab.toml
