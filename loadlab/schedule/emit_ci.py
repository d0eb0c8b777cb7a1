"""Jobs as scheduled workflows of GitHub and scheduled pipelines of GitLab."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

from loadlab.core.errors import UsageError
from loadlab.schedule import occupied
from loadlab.schedule.emit import Place, canonical, comments, cron_of, head, secrets
from loadlab.schedule.jobs import Job, Schedule

_ACTION = "loadlab/loadlab@main"
_INSTALL = "pip install 'loadlab[postgres] @ git+https://github.com/loadlab/loadlab@main'"
_GITHUB_SHORTEST_MIN = 5
_LOST = "The runner's disk is gone afterwards: without LOADLAB_DB (a PostgreSQL) there is no history."


def github(schedule: Schedule, place: Place) -> dict[str, str]:
    """A workflow for each job; gates by the composite action."""
    return {
        f".github/workflows/loadlab-{job.name}.yml": "".join(f"{line}\n" for line in _workflow(job, place))
        for job in schedule.jobs
    }


def _workflow(job: Job, place: Place) -> Iterator[str]:
    read = cron_of(job)
    if _too_often(read.minutes):
        raise UsageError(f"[schedule.{job.name}]: GitHub starts a workflow every 5 minutes at the most.")
    yield from (f"# {line}" for line in (*head(job), _LOST, *_left_out(job)))
    yield from (
        f"name: loadlab {job.name}",
        "on:",
        "  schedule:",
        f"    - cron: {json.dumps(canonical(read))}",
    )
    if job.timezone != "UTC":
        yield f"      timezone: {json.dumps(job.timezone)}"
    yield from ("  workflow_dispatch:", "permissions:", "  contents: read")
    yield from ("concurrency:", f"  group: {json.dumps(_group(job, place))}", "  cancel-in-progress: false")
    yield from ("jobs:", f"  {job.name}:", "    runs-on: ubuntu-latest")
    if job.at_most is not None:
        yield f"    timeout-minutes: {math.ceil(job.at_most / 60) + 5}"
    if names := secrets(job, place.config):
        yield "    env:"
        yield from (f"      {name}: ${{{{ secrets.{name} }}}}" for name in names)
    yield from ("    steps:", "      - uses: actions/checkout@v6", "      - uses: actions/setup-python@v6")
    yield from ("        with:", '          python-version: "3.13"')
    yield from _gate(job) if job.kind == "gate run" else _other(job)
    if place.config.get("alerts"):
        yield from ("      - if: ${{ always() }}", "        run: loadlab alerts send")


def _too_often(minutes: tuple[int, ...] | None) -> bool:
    return minutes is None or any(
        b - a < _GITHUB_SHORTEST_MIN for a, b in pairwise((*minutes, minutes[0] + 60))
    )


def _gate(job: Job) -> Iterator[str]:
    arguments = job.command[2:]
    if odd := [word for word in arguments if re.search(r"\s", word) or not word]:
        raise UsageError(
            f"[schedule.{job.name}]: the action splits its arguments at spaces, and '{odd[0]}' has one."
        )
    yield f"      - uses: {_ACTION}"
    yield from ("        with:", f"          arguments: {json.dumps(' '.join(arguments))}")
    yield "          extras: postgres"
    yield from _uploaded("loadlab-gate.*")


def _other(job: Job) -> Iterator[str]:
    yield f"      - run: {json.dumps(_INSTALL)}"
    yield f"      - run: {json.dumps(f'loadlab {shlex.join(job.command)} --json > loadlab.json')}"
    yield from _uploaded("loadlab.json")


def _uploaded(path: str) -> Iterator[str]:
    yield from ("      - if: ${{ always() }}", "        uses: actions/upload-artifact@v6")
    yield from ("        with:", "          name: loadlab", f"          path: {json.dumps(path)}")


def gitlab(schedule: Schedule, place: Place) -> dict[str, str]:
    """The jobs to include, and the commands that make the schedules: GitLab keeps those outside its file."""
    about = comments([
        "Written by `loadlab schedule emit gitlab`; .gitlab-ci.yml: include: {local: loadlab.gitlab-ci.yml}",
        "Keys and LOADLAB_DB are variables of the project (Settings, CI/CD), masked and protected.", _LOST,
    ])  # fmt: skip
    jobs = "".join(
        f"\n{''.join(f'{line}{chr(10)}' for line in _pipeline(job, place))}" for job in schedule.jobs
    )
    return {"loadlab.gitlab-ci.yml": about + jobs, "loadlab-gitlab-schedules.sh": _schedules(schedule)}


def _pipeline(job: Job, place: Place) -> Iterator[str]:
    yield from (f"# {line}" for line in (*head(job), *_left_out(job)))
    yield from (f"loadlab-{job.name}:", '  image: "python:3.13"', "  rules:")
    yield f'    - if: \'$CI_PIPELINE_SOURCE == "schedule" && $LOADLAB_JOB == "{job.name}"\''
    yield f"  resource_group: {json.dumps(_group(job, place))}"
    if job.at_most is not None:
        yield f"  timeout: {math.ceil(job.at_most / 60) + 5}m"
    gate = job.kind == "gate run"
    more = " --report junit=loadlab-gate.xml --report gitlab=loadlab-metrics.txt" if gate else ""
    yield from ("  script:", f"    - {json.dumps(_INSTALL)}")
    yield f"    - {json.dumps(f'loadlab {shlex.join(job.command)} --json{more} > loadlab.json')}"
    if place.config.get("alerts"):
        yield from ("  after_script:", "    - loadlab alerts send")
    yield from ("  artifacts:", "    when: always", "    paths: [loadlab.json]")
    if gate:
        yield "    reports: {junit: loadlab-gate.xml, metrics: loadlab-metrics.txt}"


def _schedules(schedule: Schedule) -> str:
    lines = [
        "#!/bin/sh\n",
        comments(
            [
                "Makes the pipeline schedules, once, with GitLab's own client: https://gitlab.com/gitlab-org/cli"
            ]
        ),
        "set -eu\nref=${1:-main}\n",
    ]
    for job in schedule.jobs:
        words = ["--description", f"loadlab {job.name}", "--cron", canonical(cron_of(job))]
        words += ["--cronTimeZone", job.timezone, "--variable", f"LOADLAB_JOB:{job.name}"]
        lines.append(f'glab schedule create --ref "$ref" {shlex.join(words)}\n')
    return "".join(lines)


def _group(job: Job, place: Place) -> str:
    """Jobs on the same target take turns; what these words may hold differs, so only what both take stays."""
    occupied_by = "-".join(occupied.targets(job, place.config)) if _named(job, place) else "runner"
    return "loadlab-" + re.sub(r"[^A-Za-z0-9._-]+", "-", occupied_by).strip("-")[:100]


def _named(job: Job, place: Place) -> bool:
    return not occupied.targets(job, place.config)[0].startswith("host ")


def _left_out(job: Job) -> list[str]:
    """What these schedulers have no word for."""
    words = (
        ["Missed times are not made up for: that takes `loadlab schedule run`."]
        if job.missed == "once"
        else []
    )
    return words + ([f"jitter = {job.jitter:g}s is left out."] if job.jitter else [])
