"""An interrupted run gone on with: the same run, its unfinished levels measured as they were asked for."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loadlab.cli import measured
from loadlab.cli.output import say
from loadlab.core.clock import anchor
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Run

_SAME = ("url", "model", "dialect", "auth_env", "profile", "params", "headers", "fields", "body", "stream")
_HOST = ("loadlab", "cpu", "cpus", "python")


def resume(ref: str, place: str, url: str | None, target: str | None, as_json: bool) -> None:
    """Measures what is left of a run and prints all of it. Raises LoadlabError with why it cannot."""
    from loadlab import store
    from loadlab.cli import search
    from loadlab.sweeps.book import Book
    from loadlab.sweeps.courses import course_of
    from loadlab.sweeps.searching import Searching

    with store.open(place, create=False) as database:
        stored = database.run(ref)
        _may(stored, url, target)
        run = _as_of_now(stored.spec)
        reached = database.reached(run.id)
        _begun(run, reached.finished)
        course = course_of(run, Book(database, run.id), reached.finished)
        say(f"resuming {run.id}: {len(reached.finished)} levels are complete")
        outcome = measured.measure(run, place, course, {"seq": reached.seq, "sent": dict(reached.sent)})
        if isinstance(course, Searching):
            search.conclude(run, course, outcome, place, as_json, f"loadlab sweep --resume {run.id}")
    measured.finish(outcome, place, run.id, as_json)


def _may(stored: Any, url: str | None, target: str | None) -> None:
    """Refuses what is not interrupted, or would not be the same measurement. Raises LoadlabError."""
    from loadlab.drive.spec import environment, scenario_of

    if stored.state != "interrupted":
        why = "is finished" if stored.state == "finished" else "is still going"
        raise UsageError(f"run {stored.id} {why}: there is nothing to resume.")
    if stored.environment.get("load_hosts"):
        raise UsageError(
            f"run {stored.id} was sent from several hosts, which cannot be resumed; sweep again."
        )
    here, sent = environment(), scenario_of(Path(stored.spec.scenario_path))
    for fact in _HOST:
        if stored.environment.get(fact) != here[fact]:
            was, now = stored.environment.get(fact), here[fact]
            raise UsageError(
                f"run {stored.id} began with {fact} {was}, this is {now}: its levels would not be "
                "comparable; sweep again."
            )
    before, now = (place.get("scenario_sha256") for place in (stored.environment, sent))
    if before != now:
        raise UsageError(f"run {stored.id}: {stored.spec.scenario_path} has changed since; sweep again.")
    _same_target(stored.id, stored.spec.endpoint, url, target)


def _same_target(run_id: str, was: Endpoint, url: str | None, target: str | None) -> None:
    """The endpoint as the flags or loadlab.toml now have it, and what it serves, must be what it was."""
    from loadlab.cli.run import endpoint, override
    from loadlab.core import config
    from loadlab.drive import preflight
    from loadlab.wire.auth import signer_of

    if target is None and url is None and was.name in config.load().get("targets", {}):
        target = was.name
    if url or target:
        now = override(endpoint(url, target))
        kept = {
            name: value
            for name, value in asdict(now).items()
            if name in _SAME and (url is None or name == "url")
        }
        for name, value in kept.items():
            before = getattr(was, name)
            if value and value != before:
                raise UsageError(
                    f"run {run_id} was sent to {name} {before}, this is {value}: another target is another "
                    "sweep."
                )
    found = preflight.find(was, signer_of(was))
    if found.models and was.model not in found.models:
        raise UsageError(
            f"run {run_id} measured model {was.model}; {was.url} serves {', '.join(found.models)} now: "
            "another model is another sweep."
        )


def _begun(run: Run, finished: tuple[int, ...]) -> None:
    if run.course.get("kind", "list") == "list" and len(finished) == len(run.levels):
        raise UsageError(f"run {run.id} has all of its {len(finished)} levels: there is nothing to resume.")


def _as_of_now(run: Run) -> Run:
    """The run with its start on this boot's clock: stored times count from it."""
    now_ns, wall_ns = anchor()
    return replace(run, clock_ns=now_ns - (wall_ns - run.started_at_ns))
