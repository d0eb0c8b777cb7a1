"""[schedule.NAME]: what is understood, what is refused and how; what a job occupies."""

from __future__ import annotations

import socket
import tomllib
from typing import Any

import pytest

from loadlab.core.errors import UsageError
from loadlab.schedule import occupied
from loadlab.schedule.jobs import parse

WHOLE = """
[targets.local]
url = "http://127.0.0.1:8000/v1/"
[gate]
target = "local"
base = "http://other:1/v1"
[schedule]
timezone = "Europe/Berlin"
at_once = 2
group = "team-a"
[schedule.nightly]
cron = "30 3 * * 1-5"
command = "loadlab run chat --target local --label 'two words'"
jitter = "10m"
grace = "6h"
at_most = "1h"
[schedule.gate]
every = "6h"
timezone = "UTC"
missed = "skip"
command = ["gate", "run", "--report", "html=a.html"]
"""


def config(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def test_a_whole_schedule() -> None:
    read = parse(config(WHOLE))
    nightly, gate = read.jobs
    assert (read.at_once, read.group) == (2, "team-a")
    assert nightly.command == ("run", "chat", "--target", "local", "--label", "two words")
    assert (nightly.kind, nightly.timezone, nightly.jitter) == ("run", "Europe/Berlin", 600.0)
    assert (nightly.late_s, nightly.at_most, nightly.wait) == (6 * 3600.0, 3600.0, 3600.0)
    assert (gate.kind, gate.timezone, gate.late_s) == ("gate run", "UTC", 60.0)
    assert nightly.when != gate.when


def test_what_a_job_occupies() -> None:
    whole = config(WHOLE)
    nightly, gate = parse(whole).jobs
    assert occupied.targets(nightly, whole) == ("http://127.0.0.1:8000/v1",)
    assert occupied.targets(gate, whole) == ("http://127.0.0.1:8000/v1", "http://other:1/v1")
    given = parse(config('[schedule.a]\nevery="1h"\ncommand="gate run --url=http://x:1/v1"')).jobs[0]
    assert occupied.targets(given, whole) == ("http://x:1/v1", "http://other:1/v1")
    assert occupied.targets(given, {}) == ("http://x:1/v1",)
    own = parse(config('[schedule.a]\nevery="1h"\ncommand="gate run"')).jobs[0]
    assert occupied.targets(own, {"gate": {"base_command": "serve"}}) == (f"host {socket.gethostname()}",)
    named = parse(config('[schedule.a]\nevery="1h"\ncommand="gate run"\ntargets=["local"]')).jobs[0]
    assert occupied.targets(named, whole) == ("http://127.0.0.1:8000/v1",)


JOB = '[schedule.a]\ncommand = "run chat"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no table"),
        ("[schedule]\nat_once = 1", "has no table"),
        (f'{JOB}evry = "1h"', "did you mean 'every'"),
        (f"[schedule]\nzone = 1\n{JOB}every = '1h'", "key of \\[schedule\\].*'zone'"),
        (JOB, "needs either cron or every"),
        (f'{JOB}every = "1h"\ncron = "0 3 * * *"', "needs either cron or every"),
        (f"{JOB}every = 3600", "every = 3600 must be text in quotes"),
        (f'{JOB}every = "0s"', "must be at least 1s"),
        (f'{JOB}every = "1h"\njitter = "2h"', "jitter must be shorter"),
        (f'{JOB}every = "1h"\nmissed = "all"', "must be once or skip"),
        (f'{JOB}every = "1h"\nmissed = "skip"\ngrace = "1h"', "grace goes with"),
        (f'{JOB}every = "1h"\ntimezone = "Berlin"', "timezone = 'Berlin' is not known"),
        (f'{JOB}every = "1h"\ntargets = "local"', "targets must be a list"),
        ('[schedule.a]\nevery = "1h"\ncommand = "serve"', "must begin with one of run, sweep, search"),
        ('[schedule.a]\nevery = "1h"', "must begin with one of"),
        ('[schedule.a]\nevery = "1h"\ncommand = "run \'chat"', "cannot be split"),
        ('[schedule."A B"]\nevery = "1h"\ncommand = "run chat"', "small letters, digits and hyphens"),
        (f"[schedule]\nat_once = 0\n{JOB}every = '1h'", "at least 1"),
        (f"[schedule]\ngroup = 'A/b'\n{JOB}every = '1h'", "group"),
    ],
)
def test_a_slip_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(config(text))
