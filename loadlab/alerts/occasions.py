"""What is worth telling: new incidents, gates that turned, jobs that keep failing.

Once per change of state, not once per failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from loadlab.alerts.channels import Alerts
from loadlab.alerts.nouns import Alert, Event
from loadlab.core.incident import Incident
from loadlab.core.units import NS_PER_S, number
from loadlab.store.schedule_log import Entry

LOOK_BACK_NS = 7 * 24 * 3600 * NS_PER_S
_FEW = 5
# Exit codes by which a command says what it found, beside 0.
_ANSWERS: Mapping[tuple[str, ...], tuple[int, ...]] = {
    ("gate", "run"): (1,),
    ("gate", "calibrate"): (1,),
    ("history", "check"): (1, 4, 5),
}


def of_incidents(incidents: Iterable[Incident], about: Alerts) -> Iterator[Alert]:
    """An alert for each incident."""
    for incident in incidents:
        evidence = incident.evidence
        where = f"{incident.scenario} on {incident.target}"
        yield Alert(
            occasion=f"incident {incident.id}",
            subject=f"incident {incident.id}",
            kind="incident",
            event="opened",
            title=f"Regression: {', '.join(incident.metrics[:3])} of {where}",
            facts=_facts(
                {
                    **{str(each.get("metric")): _step(each) for each in evidence.get("series", [])[:_FEW]},
                    "last good run": _run(evidence, "last_good"),
                    "first bad run": _run(evidence, "first_bad"),
                    "what else changed there": "; ".join(map(str, evidence.get("causes") or [])),
                    "model": incident.model,
                    "hardware": incident.hardware,
                    "incident": f"{incident.id}; loadlab history show {incident.id}",
                }
            ),
            link=_link(about, _run_page(evidence.get("first_bad_run"))),
            at=_iso(incident.opened_at_ns),
        )


def _step(series: Mapping[str, Any]) -> str:
    before, after, ratio = (series.get(key) for key in ("before", "after", "ratio"))
    if before is None or after is None or ratio is None:
        return ""
    low, high = (series.get(key) for key in ("low", "high"))
    span = f", 95 % {low:.3g} to {high:.3g}" if low is not None and high is not None else ""
    return f"{number(before)} → {number(after)} (ratio {ratio:.3g}{span})"


def _run(evidence: Mapping[str, Any], which: str) -> str:
    run, commit = evidence.get(f"{which}_run"), evidence.get(f"{which}_commit")
    return f"{run} at commit {commit}" if run and commit else str(run or "")


def of_gates(gates: Iterable[Mapping[Any, Any]], last: Mapping[str, str], about: Alerts) -> Iterator[Alert]:
    """An alert for each scenario whose newest clear gate says other than what was told. Newest first."""
    seen: set[str] = set()
    for gate in gates:
        document = gate["document"]
        scenario = str(document["gate"]["scenario"])
        if (
            not str(gate["id"]).startswith("gate-")
            or gate["outcome"] not in ("PASS", "FAIL")
            or scenario in seen
        ):
            continue
        seen.add(scenario)
        subject = f"gate {scenario}"
        if event := _turned(gate["outcome"] == "FAIL", last.get(subject)):
            yield _of_gate(gate["id"], subject, event, document, about, int(gate["judged_at_ns"]))


def _of_gate(
    gate_id: str, subject: str, event: Event, document: Mapping[str, Any], about: Alerts, at_ns: int
) -> Alert:
    broken = [check for check in document["checks"] if check["outcome"] == "FAIL"]
    words = f"failed: {document['headline']}" if event == "opened" else "passes again"
    facts = {check["rule"]: f"{check['words']} [{check['limit']}]" for check in broken[:_FEW]}
    facts |= {"gate": gate_id, "candidate": ", ".join(document["candidate"])}
    facts |= {"base": ", ".join(document["base"]), "again": document["gate"]["reproduce"]}
    title = f"Gate of {document['gate']['scenario']} {words}"
    return Alert(
        gate_id, subject, "gate", event, title, _facts(facts), _link(about, f"gates/{gate_id}"), _iso(at_ns)
    )


def of_jobs(entries: Sequence[Entry], last: Mapping[str, str], about: Alerts) -> Iterator[Alert]:
    """An alert for each job of which the newest `after` tries all failed, and one when it works again."""
    for group, name in dict.fromkeys((entry.job_group, entry.job) for entry in entries):
        tried = [each for each in entries if (each.job_group, each.job) == (group, name) and _tried(each)]
        newest = tried[: about.after]
        if not newest:
            continue
        subject = f"job {group}/{name}"
        failing = len(newest) == about.after and all(map(_failed, newest))
        clear = failing or not _failed(newest[0])
        if clear and (event := _turned(failing, last.get(subject))):
            yield _of_job(newest[0], subject, event, about)


def _tried(entry: Entry) -> bool:
    return entry.state == "lost" or (entry.state == "ended" and entry.exit_code is not None)


def _failed(entry: Entry) -> bool:
    """Whether the command did not do its work; a gate that says FAIL did, and is told as a gate."""
    worked = _ANSWERS.get(entry.command[:2], ())
    return entry.state == "lost" or entry.exit_code not in (0, *worked)


def _of_job(entry: Entry, subject: str, event: Event, about: Alerts) -> Alert:
    how = f"exit code {entry.exit_code}" if entry.exit_code is not None else entry.reason
    words = f"failed {about.after} times in a row, last with {how}" if event == "opened" else "works again"
    facts = {
        "command": f"loadlab {' '.join(entry.command)}", "host": entry.host, "why": entry.reason,
        "last words": entry.told[-500:] if event == "opened" else "",
        "log": f"loadlab schedule log --job {entry.job}",
    }  # fmt: skip
    at = _iso(entry.ended_at_ns or entry.seen_at_ns)
    link = _link(about, _run_page(entry.run_id))
    return Alert(
        f"log {entry.id}", subject, "job", event, f"Job {entry.job} {words}", _facts(facts), link, at
    )


def _turned(bad: bool, last: str | None) -> Event | None:
    if bad:
        return None if last == "opened" else "opened"
    return "resolved" if last == "opened" else None


def recent(at_ns: int) -> bool:
    """Whether it is new enough to be told of by a channel that was set up today."""
    return time.time_ns() - at_ns < LOOK_BACK_NS


def sample(about: Alerts) -> Alert:
    """What `loadlab alerts test` sends."""
    facts = {"ttft_ms.p50": "52.1 → 58.3 (ratio 1.12, 95 % 1.09 to 1.15)", "first bad run": "an example"}
    now = time.time_ns()
    return Alert(
        f"test {now}",
        "test",
        "incident",
        "test",
        "A test: nothing is wrong",
        facts,
        _link(about),
        _iso(now),
    )


def _link(about: Alerts, page: str = "") -> str:
    """The address of a page of the dashboard, "" where there is none."""
    return f"{about.dashboard_url}/{page}" if about.dashboard_url else ""


def _run_page(run_id: str | None) -> str:
    return f"run/{run_id}" if run_id else ""


def _facts(given: Mapping[str, str]) -> dict[str, str]:
    return {name: words for name, words in given.items() if words}


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat()
