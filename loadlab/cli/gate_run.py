"""A gate carried out: runs made or fetched, judged, extended where that may settle it."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from loadlab.cli.output import say
from loadlab.core.errors import InterruptedRunError, LoadlabError, UsageError
from loadlab.core.units import parse_duration

if TYPE_CHECKING:
    from loadlab.analysis.compare import Spread
    from loadlab.analysis.measures import Observed
    from loadlab.gates import Gate, Judgement
    from loadlab.gates.rules import SloRule


@dataclass(slots=True)
class Sides:
    """The runs so far, and why measuring was ended early."""

    base: list[Observed] = field(default_factory=list)
    candidate: list[Observed] = field(default_factory=list)
    stopped: str = ""


def new_id() -> str:
    """An id of a gate: its time and four letters."""
    return time.strftime("gate-%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)


def checked(gate: Gate, where: Mapping[str, str | None]) -> None:
    """Refuses a gate that lacks something to measure or to compare with. Raises UsageError."""
    if not (where["candidate"] or gate.target or gate.candidate_command):
        raise UsageError(
            "loadlab.toml: [gate] says nothing of where to: give target or candidate_command, or --url."
        )
    if gate.regress and not (gate.paired or gate.baseline or where["base"]):
        raise UsageError(
            'loadlab.toml: [gate] regress needs something to compare with: base = "TARGET", base_command, '
            'baseline = "NAME", or --base-url.'
        )


def carry_out(gate: Gate, store: Any, place: str, gate_id: str, where: Mapping[str, str | None]) -> Judgement:
    """Measures and judges; `where` holds the URLs given instead of targets. Raises LoadlabError."""
    if where["base"]:
        gate = replace(gate, base=where["base"])
    checked(gate, where)
    with interruptible():
        return _carried_out(gate, store, place, gate_id, where)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, by which CI systems cancel, is a Ctrl-C: nothing that was started stays behind."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError("the gate was stopped; the runs before are kept.") from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def _carried_out(
    gate: Gate, store: Any, place: str, gate_id: str, where: Mapping[str, str | None]
) -> Judgement:
    """Pairs or runs, and more of them where that may settle it."""
    stored = [_observe(store, ref) for ref in store.baseline(gate.baseline)] if gate.baseline else []
    sides = Sides(base=stored)
    found = _measured(gate, store, place, gate_id, where, sides, gate.pairs if gate.paired else gate.runs)
    for extension in range(gate.extensions):
        if found.outcome != "INCONCLUSIVE" or sides.stopped:
            break
        more = max(2, (gate.pairs if gate.paired else gate.runs) // 2)
        say(f"inconclusive: {more} more of each ({extension + 1} of {gate.extensions})")
        found = _measured(gate, store, place, gate_id, where, sides, more)
    return found


def _measured(
    gate: Gate,
    store: Any,
    place: str,
    gate_id: str,
    where: Mapping[str, str | None],
    sides: Sides,
    count: int,
) -> Judgement:
    """So many more pairs or runs, and the judgement of all there are."""
    order = _order(gate, len(sides.candidate), count)
    with servers(gate, where) as urls:
        for side, number in order:
            with urls(side) as flags:
                _one(gate, store, place, gate_id, side, number, flags, sides)
            if sides.stopped:
                break
    return judge(gate, store, sides.base, sides.candidate, sides.stopped)


def _order(gate: Gate, done: int, count: int) -> list[tuple[str, int]]:
    """Which side is measured when: base and candidate by turns, or the candidate alone."""
    if not gate.paired:
        return [("candidate", number) for number in range(done, done + count)]
    turns = (("base", "candidate"), ("candidate", "base"))
    return [(side, number) for number in range(done, done + count) for side in turns[number % 2]]


def _one(
    gate: Gate, store: Any, place: str, gate_id: str, side: str, number: int, flags: list[str], sides: Sides
) -> None:
    from loadlab.drive import pairs

    label = f"{gate_id} {side} {number + 1}"
    aborting = [rule for rule in gate.slo if rule.abort_on_fail] if side == "candidate" else []

    def watch(elapsed_s: float) -> str | None:
        return _broken(aborting, store, label, elapsed_s)

    asked = [*flags, *_load(gate), "--seed", str(gate.seed + number), "--db", place, "--label", label]
    run, why = pairs.run(gate.scenario, asked, watch if aborting else None)
    seen = _observe(store, run)
    (sides.base if side == "base" else sides.candidate).append(seen)
    sides.stopped = why
    say(f"{label}: {run} {seen.level.verdict}{f', ended: {why}' if why else ''}")


def _load(gate: Gate) -> Iterator[str]:
    """The load as flags of `loadlab run`."""
    for name in ("users", "rate", "requests", "duration", "warmup", "max_tokens", "max_cost"):
        if (value := getattr(gate, name)) is not None:
            yield from (f"--{name.replace('_', '-')}", str(value))
    if gate.exact_length:
        yield "--exact-length"


def _broken(rules: Sequence[SloRule], store: Any, label: str, elapsed_s: float) -> str | None:
    """Which rule the run under way is sure to break already."""
    due = [rule for rule in rules if elapsed_s >= rule.delay_s]
    runs = store.runs(limit=3)
    refs = runs[runs["label"] == label]["id"].tolist() if due else []
    try:
        seen = [_observe(store, ref) for ref in refs]
    except LoadlabError:  # it has no level yet
        return None
    from loadlab.gates import absolute

    broken = (rule for rule in due for run in seen if absolute.judge(rule, [run]).outcome == "FAIL")
    return next((f"'{rule.text}' is broken" for rule in broken), None)


def _observe(store: Any, ref: str) -> Observed:
    """A run with its verdict as analysis has it now."""
    from loadlab.analysis.measures import observe

    return observe(store, ref)


@contextmanager
def servers(gate: Gate, where: Mapping[str, str | None]) -> Iterator[Any]:
    """Gives, for a side, a context with the flags that say where it is; servers run as long as needed."""
    from loadlab.drive import pairs

    commands = {"base": gate.base_command, "candidate": gate.candidate_command}
    targets = {"base": gate.base, "candidate": where["candidate"] or gate.target}
    within_s = parse_duration(gate.start_timeout)
    model = ["--model", gate.model] if gate.model else []
    with ExitStack() as running:
        kept: dict[str, list[str]] = {}
        if gate.together:
            for side, command in commands.items():
                if command and not (side == "candidate" and where["candidate"]):
                    kept[side] = ["--url", running.enter_context(pairs.started(command, within_s))]

        @contextmanager
        def flags(side: str) -> Iterator[list[str]]:
            command, target = commands[side], targets[side]
            if side in kept:
                yield [*kept[side], *model]
            elif target:
                yield ["--url" if "://" in target else "--target", target, *model]
            else:
                assert command
                with pairs.started(command, within_s) as url:
                    yield ["--url", url, *model]

        yield flags


def judge(
    gate: Gate, store: Any, base: Sequence[Observed], candidate: Sequence[Observed], stopped: str = ""
) -> Judgement:
    """The runs that there are against every rule."""
    from loadlab.gates import absolute, relative
    from loadlab.gates.nouns import judged

    checks = [absolute.judge(rule, candidate) for rule in gate.slo]
    if base and (gate.regress or gate.inform):
        checks += relative.judge(gate, base, candidate, _earlier(gate, store, base, candidate))
    notes = [f"{role} run {run.id} is SUSPECT: {reason}"
             for role, side in (("base", base), ("candidate", candidate))
             for run in side if run.level.verdict == "SUSPECT" for reason in run.level.reasons]  # fmt: skip
    return judged(
        checks,
        relative.invalid(gate, base, candidate),
        notes=(*([f"ended early: {stopped}"] if stopped else []), *dict.fromkeys(notes)),
        base=tuple(run.id for run in base),
        candidate=tuple(run.id for run in candidate),
    )


def _earlier(
    gate: Gate, store: Any, base: Sequence[Observed], candidate: Sequence[Observed]
) -> Mapping[str, Spread]:
    """How much earlier runs of the base's kind differed; pairs carry their own scatter."""
    from loadlab.analysis.compare import between_runs

    if gate.paired:
        return {}
    measures = [*(rule.measure for rule in gate.regress), *gate.inform]
    return between_runs(store, base[0], measures, [run.id for run in candidate])
