"""What is written for other schedulers, read by their own parsers where there is one here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from apscheduler.triggers.cron import CronTrigger

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.schedule import crontab
from loadlab.schedule.emit import Place, canonical, cron_of, render
from loadlab.schedule.emit_host import on_calendar
from loadlab.schedule.jobs import Job, parse
from loadlab.schedule.times import upcoming

TOML = """
[targets.local]
url = "http://127.0.0.1:8000/v1"
api_key_env = "LOCAL_KEY"
[gate]
target = "local"
slo = ["chat"]
[alerts.team]
kind = "slack"
url_env = "TEAM_URL"
[schedule]
timezone = "Europe/Berlin"
[schedule.nightly]
cron = "30 3 * * 1-5"
command = "gate run --pairs 8"
at_most = "1h"
jitter = "10m"
[schedule.frequent]
every = "15m"
timezone = "UTC"
missed = "skip"
command = "run chat --target local --label 'a b'"
[schedule.either]
cron = "0 0 13 * 5"
command = "sweep chat --target local"
"""
CONFIG = tomllib.loads(TOML)
SCHEDULE = parse(CONFIG)
PLACE = Place(
    "/srv/50% $HOME", "bench", "/opt/loadlab/bin/loadlab", "registry.example/loadlab:1", TOML, CONFIG
)
NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


def job(name: str) -> Job:
    return SCHEDULE.job(name)


def test_a_cron_line_says_the_same_to_apscheduler() -> None:
    """Once its weekdays have names: there the numbers count from Monday."""
    for each in (job("nightly"), job("frequent")):
        *first, days = canonical(cron_of(each)).split()
        names = days if days == "*" else ",".join(crontab.WEEKDAYS[int(day)] for day in days.split(","))
        trigger = CronTrigger.from_crontab(" ".join([*first, names]), each.timezone)
        at: datetime | None = None
        for wanted in upcoming(each if not each.jitter else plain(each), NOW, 30):
            at = trigger.get_next_fire_time(at, NOW if at is None else at)
            assert at == wanted


def plain(each: Job) -> Job:
    return Job(each.name, each.command, each.timezone, each.cron)


def test_a_crontab() -> None:
    (text,) = render("cron", SCHEDULE, PLACE).values()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[:3] == [
        "SHELL=/bin/sh", "CRON_TZ=Europe/Berlin",
        "30 3 * * 1,2,3,4,5 cd '/srv/50\\% $HOME' && /opt/loadlab/bin/loadlab schedule trigger nightly",
    ]  # fmt: skip
    assert lines[3:5] == [
        "CRON_TZ=UTC",
        "0,15,30,45 * * * * "
        + lines[2].partition(" cd ")[2].join(["cd ", ""]).replace("nightly", "frequent"),
    ]
    assert subprocess.run(["sh", "-n", "-c", lines[2].split(" ", 5)[5].replace("\\%", "%")]).returncode == 0


def test_units_of_systemd(tmp_path: Path) -> None:
    files = render("systemd", SCHEDULE, PLACE)
    assert sorted(files) == [
        f"loadlab-{name}.{kind}"
        for name in ("either", "frequent", "nightly")
        for kind in ("service", "timer")
    ]
    timer = files["loadlab-nightly.timer"]
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:30:00 Europe/Berlin\n" in timer
    assert "RandomizedDelaySec=600s\nPersistent=true\n" in timer
    assert "Persistent=false\n" in files["loadlab-frequent.timer"]
    service = files["loadlab-nightly.service"]
    assert "User=bench\nWorkingDirectory=/srv/50%% $HOME\n" in service
    assert "TimeoutStartSec=7260s" in service
    program = shutil.which("systemd-analyze") or pytest.skip(
        "no systemd-analyze here to verify the units with"
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace(PLACE.program, "/bin/true"), encoding="utf-8")
    units = [str(tmp_path / name) for name in files]
    done = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True)
    ours = [
        line for line in done.stderr.splitlines() if "loadlab-" in line and "Failed to create" not in line
    ]
    assert ours == []


@pytest.mark.parametrize(
    "cron", ["30 3 * * 1-5", "0 0 13 * 5", "*/20 9-17 1-7 */2 *", "5 0 * * 0", "@monthly"]
)
def test_systemd_fires_when_we_do(cron: str) -> None:
    program = shutil.which("systemd-analyze") or pytest.skip("no systemd-analyze here to ask for times")
    found = set[datetime]()
    for each in on_calendar(crontab.parse(cron), "UTC"):
        asked = [program, "calendar", "--iterations=12", "--base-time=2026-11-29 10:00:00 UTC", each]
        done = subprocess.run(asked, capture_output=True, text=True, env={"TZ": "UTC"})
        assert done.returncode == 0, done.stderr
        times = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", done.stdout)
        found |= {datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times}
    wanted = upcoming(Job("job", ("run",), cron=cron), NOW, 12)
    assert sorted(found)[:12] == wanted


def test_cronjobs_of_kubernetes() -> None:
    (text,) = render("k8s", SCHEDULE, PLACE).values()
    config, *jobs = yaml.safe_load_all(text)
    assert tomllib.loads(config["data"]["loadlab.toml"]) == CONFIG
    nightly, frequent, _ = jobs
    spec = nightly["spec"]
    assert (nightly["apiVersion"], nightly["kind"]) == ("batch/v1", "CronJob")
    assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 1,2,3,4,5", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert "startingDeadlineSeconds" not in spec
    assert frequent["spec"]["startingDeadlineSeconds"] == 60
    template = spec["jobTemplate"]["spec"]
    assert (template["backoffLimit"], template["activeDeadlineSeconds"]) == (0, 7350)
    pod = template["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/loadlab:1"
    assert container["args"] == ["schedule", "trigger", "nightly"]
    secrets = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"]}
    assert secrets == {
        "LOADLAB_DB": {"name": "loadlab", "key": "LOADLAB_DB"},
        "LOCAL_KEY": {"name": "loadlab", "key": "LOCAL_KEY", "optional": True},
        "TEAM_URL": {"name": "loadlab", "key": "TEAM_URL", "optional": True},
    }
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert (mount["name"], volume) == (volume["name"], {"name": "config", "configMap": {"name": "loadlab"}})
    assert config["metadata"]["name"] == "loadlab"


def test_workflows_of_github(repository: Path) -> None:
    files = {name: yaml.safe_load(text) for name, text in render("github", SCHEDULE, PLACE).items()}
    nightly = files[".github/workflows/loadlab-nightly.yml"]
    on: Any = nightly[True]  # YAML 1.1 reads the key "on" as true; GitHub does not
    assert on["schedule"] == [{"cron": "30 3 * * 1,2,3,4,5", "timezone": "Europe/Berlin"}]
    assert "timezone" not in files[".github/workflows/loadlab-frequent.yml"][True]["schedule"][0]
    assert nightly["concurrency"] == {"group": "loadlab-http-127.0.0.1-8000-v1", "cancel-in-progress": False}
    assert len({each["concurrency"]["group"] for each in files.values()}) == 1  # one target, one at a time
    (job,) = nightly["jobs"].values()
    assert job["timeout-minutes"] == 65
    assert job["env"]["LOCAL_KEY"] == "${{ secrets.LOCAL_KEY }}"
    action = yaml.safe_load((repository / "action.yml").read_text(encoding="utf-8"))
    used = next(step for step in job["steps"] if step.get("uses", "").startswith("loadlab/"))
    assert used["with"].keys() <= action["inputs"].keys()
    assert used["with"]["arguments"] == "--pairs 8"
    assert job["steps"][-1] == {"if": "${{ always() }}", "run": "loadlab alerts send"}
    runs = [
        step["run"]
        for step in files[".github/workflows/loadlab-frequent.yml"]["jobs"]["frequent"]["steps"]
        if "run" in step
    ]
    assert shlex.split(runs[1])[:7] == ["loadlab", "run", "chat", "--target", "local", "--label", "a b"]


def test_pipelines_of_gitlab(tmp_path: Path) -> None:
    files = render("gitlab", SCHEDULE, PLACE)
    jobs = yaml.safe_load(files["loadlab.gitlab-ci.yml"])
    assert sorted(jobs) == ["loadlab-either", "loadlab-frequent", "loadlab-nightly"]
    nightly = jobs["loadlab-nightly"]
    assert nightly["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule" && $LOADLAB_JOB == "nightly"'}]
    assert nightly["artifacts"]["reports"] == {"junit": "loadlab-gate.xml", "metrics": "loadlab-metrics.txt"}
    assert (nightly["resource_group"], nightly["timeout"]) == ("loadlab-http-127.0.0.1-8000-v1", "65m")
    script = tmp_path / "schedules.sh"
    script.write_text(files["loadlab-gitlab-schedules.sh"], encoding="utf-8")
    (tmp_path / "glab").write_text('#!/bin/sh\nprintf "%s|" "$@"\necho\n', encoding="utf-8")
    (tmp_path / "glab").chmod(0o755)
    done = subprocess.run(
        ["sh", script, "dev"], capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert done.stdout.splitlines()[0] == (
        "schedule|create|--ref|dev|--description|loadlab nightly|--cron|30 3 * * 1,2,3,4,5|--cronTimeZone|"
        "Europe/Berlin|--variable|LOADLAB_JOB:nightly|"
    )


def only(text: str) -> Any:
    return parse(tomllib.loads(f"[schedule.a]\n{text}\n"))


def test_what_a_scheduler_cannot_say_is_an_error() -> None:
    with pytest.raises(UsageError, match="divides neither an hour nor a day"):
        render("cron", only('every = "7h"\ncommand = "run chat"'), PLACE)
    with pytest.raises(UsageError, match="every 5 minutes at the most"):
        render("github", only('cron = "0,2 * * * *"\ncommand = "run chat"'), PLACE)
    with pytest.raises(UsageError, match="splits its arguments at spaces, and 'a b' has one"):
        render("github", only('every = "1h"\ncommand = "gate run --url \'a b\'"'), PLACE)
    with pytest.raises(UnknownNameError, match="did you mean 'k8s'"):
        render("k8", SCHEDULE, PLACE)


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        ("1m", "* * * * *"),
        ("20m", "0,20,40 * * * *"),
        ("1h", "0 * * * *"),
        ("8h", "0 0,8,16 * * *"),
        ("24h", "0 0 * * *"),
    ],
)
def test_every_as_cron(every: str, cron: str) -> None:
    each = Job("job", ("run",), every=every)
    assert canonical(cron_of(each)).replace(",".join(map(str, range(60))), "*") == cron
    assert upcoming(Job("job", ("run",), cron=canonical(cron_of(each))), NOW, 5) == upcoming(each, NOW, 5)
