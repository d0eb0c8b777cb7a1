"""A batch written down as a run: what was handed in, how far it was seen to be, and a row for every request.

Nothing here knows a socket. Times are the wall clock's, put where the run's own clock would be, because a
batch may outlive the process that began it, and the machine's uptime.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from loadlab import dialects, pricing
from loadlab.core.nouns import Exchange, Price, Result, Run
from loadlab.core.reads import Reads
from loadlab.dialects.batches import Line, State
from loadlab.recorder.decode import decode
from loadlab.store import Store

MISSING = "batch_missing"


def custom_id(run_id: str, seq: int) -> str:
    """What a request is called at the vendor."""
    return f"{run_id}-{seq}"


def begin(
    run: Run, database: Store, language: str, caps: Sequence[int], usual: Price | None, poll_s: float
) -> None:
    """Writes down what is about to be handed in; `caps` are the requests' max_tokens."""
    database.begin_run(run)
    database.begin_level(run.id, run.levels[0], run.clock_ns)
    database.batches.begin(
        run.id,
        language=language,
        max_tokens=list(caps),
        usual_price=None if usual is None else asdict(usual),
        poll_s=poll_s,
    )


def handed_in(run: Run, database: Store, state: State) -> None:
    """The vendor has it."""
    database.batches.update(run.id, batch_id=state.id, handed_in_ns=now_ns(run) - run.clock_ns)
    seen(run, database, state)


def seen(run: Run, database: Store, state: State) -> None:
    """How far it was when looked at."""
    known = {
        "word": state.word,
        "counts": dict(state.counts),
        "times": dict(state.times),
        "error": state.error,
    }
    over = {"over_ns": now_ns(run) - run.clock_ns} if state.over else {}
    database.batches.update(run.id, **known, **over)
    database.heartbeat(run.id)


def answered(run: Run, database: Store, lines: Iterable[Line]) -> list[str]:
    """Writes a row for every request, all at once: what has no line among these failed too.

    Gives the custom ids that nobody asked for.
    """
    batch = database.batches.of(run.id)
    assert batch
    by_name = {line.custom_id: line for line in lines}
    names = [custom_id(run.id, seq) for seq in range(len(batch["max_tokens"]))]
    meter = pricing.Meter(run.price) if run.price and run.price.kind == "token" else None
    at = (run.clock_ns + (batch["handed_in_ns"] or 0), run.clock_ns + batch["over_ns"])
    results = [
        _result(run, seq, most, by_name.get(name), at, meter)
        for seq, (name, most) in enumerate(zip(names, batch["max_tokens"], strict=True))
    ]
    database.write(run.id, results, [])
    database.finish_level(run.id, run.levels[0].index, at[1])
    return sorted(by_name.keys() - set(names))


def now_ns(run: Run) -> int:
    """Now, on the run's clock, by the wall clock."""
    return run.clock_ns + time.time_ns() - run.started_at_ns


def _result(
    run: Run, seq: int, most: int, line: Line | None, at: tuple[int, int], meter: pricing.Meter | None
) -> Result:
    """One row: sent when the batch was handed in, done when it was over, for then it could be had."""
    sent_ns, done_ns = at
    line = line or Line("", None, b"", MISSING, "the results hold no line for it")
    exchange = Exchange(
        run.levels[0].index, 0, seq, sent_ns, max_tokens=most, sent_ns=sent_ns, done_ns=done_ns,
        status=line.status, content_type="application/json",
        reads=Reads([(done_ns, line.body)] if line.body else ()),
        error_kind=line.failed, error_detail=line.words,
    )  # fmt: skip
    result = decode(exchange, dialects.get(run.endpoint.dialect))
    if meter:
        at_ns = sent_ns - run.clock_ns + run.started_at_ns
        result.cost_nano_usd = _cost(meter, result, at_ns)
    return result


def _cost(meter: pricing.Meter, result: Result, at_ns: int) -> int | None:
    """What a batch did not carry out is not billed."""
    if result.error_kind is not None and result.prompt_tokens is None:
        return 0 if result.error_kind != MISSING else None
    return meter.nano_usd(pricing.Use.of(result), at_ns)
