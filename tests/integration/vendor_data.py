"""A made-up comparison of three vendors, of which one is slow and one cuts its tokens small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from loadlab.core.nouns import Endpoint, Level, Price, Result, Run
from loadlab.store import Store
from loadlab.vendors import Study, Vendor, Workload
from loadlab.vendors.protocol import blocks

NS = 1_000_000_000
MS = 1_000_000
HOUR = 3_600 * NS
BEGAN_NS = 1_795_000_000 * NS
CLOCK_NS = 5_000 * NS
PACE = {"alpha": (300, 20.0), "beta": (300, 20.0), "gamma": (600, 45.0)}
INFLATION = {"alpha": 1.0, "beta": 1.3, "gamma": 1.0}
PRICES = {"alpha": (0.5, 2.0), "beta": (0.4, 1.6)}


def study(**changes: object) -> Study:
    """Three vendors, one workload, eight slots of ten prompts."""
    given = Study(
        "november",
        tuple(Vendor(name, {"url": f"http://{name}.test/v1"}, account="tier 1") for name in PACE),
        (Workload("chat", 60),),
        days=1, reference="pieces", region="Frankfurt",
    )  # fmt: skip
    return replace(given, **changes)  # type: ignore[arg-type]


def fill(store: Store, asked: Study, slots: int = 8, failing: float = 0.1) -> None:
    """Measures as many slots; gamma refuses that share of its requests."""
    rng = np.random.default_rng(3)
    store.define_study(asked.name, asked.document())
    for slot in range(slots):
        at_ns = BEGAN_NS + slot * 3 * HOUR
        for block in blocks(asked, slot):
            for position, vendor in enumerate(block.vendors):
                run = _run(asked, vendor, block.workload, slot, at_ns)
                store.begin_run(run)
                store.begin_level(run.id, run.levels[0], CLOCK_NS)
                results = _results(rng, vendor, asked.prompts + 1, failing if vendor == "gamma" else 0.0)
                store.write(run.id, results, [])
                last = max(result.done_ns or 0 for result in results)
                store.finish_level(run.id, 0, last)
                store.finish_run(run.id, "finished")
                store.set_verdict(run.id, "VALID", [])
                ended = at_ns + last - CLOCK_NS
                store.add_vendor_slot(
                    study=asked.name, slot=slot, workload=block.workload, position=position, vendor=vendor,
                    state="done", why="", began_at_ns=at_ns, ended_at_ns=ended, run_id=run.id,
                )  # fmt: skip
                at_ns = ended + 2 * NS


def _run(asked: Study, vendor: str, workload: str, slot: int, at_ns: int) -> Run:
    price = None
    if vendor in PRICES:
        into, out = PRICES[vendor]
        price = Price(
            f"{vendor}/m", "token", "made up", "2026-11-01", input_usd_per_mtok=into, output_usd_per_mtok=out
        )
    return Run(
        id=f"{slot:02d}-{workload}-{vendor}", scenario="chat", scenario_path="scenarios/chat.py",
        endpoint=Endpoint(f"http://{vendor}.test/v1", "m", name=vendor),
        levels=(Level(0, users=1, requests=11),),
        seed=slot, timeout_s=60, clock_ns=CLOCK_NS, started_at_ns=at_ns, price=price,
        environment={"loadlab": "0.1.0", "python": "3.11.7", "platform": "Linux"}, reference=asked.reference,
    )  # fmt: skip


def _results(rng: np.random.Generator, vendor: str, count: int, failing: float) -> list[Result]:
    """Requests one after the other, the first on a new connection."""
    ttft, gap = PACE[vendor]
    slow = float(rng.lognormal(0, 0.02))
    found, at = [], CLOCK_NS
    for seq in range(count):
        connect = 40 * MS if seq == 0 else 0
        sent = at + connect
        tokens = int(rng.integers(40, 60))
        first = sent + int(ttft * slow * rng.lognormal(0, 0.2) * MS)
        last = first + int(gap * slow * (tokens - 1) * MS)
        failed = bool(seq and rng.random() < failing)
        found.append(_result(seq, at, sent, connect, first, last, tokens, vendor, failed))
        at = last + 5 * MS
    return found


def _result(
    seq: int,
    planned: int,
    sent: int,
    connect: int,
    first: int,
    last: int,
    tokens: int,
    vendor: str,
    failed: bool,
) -> Result:
    billed = round(tokens * INFLATION[vendor])
    return Result(
        level=0, worker=0, seq=seq, warmup=False, planned_ns=planned, sent_ns=sent, connect_ns=connect,
        tls_ns=connect // 2, reused=seq > 0, retries=0, first_byte_ns=first, first_event_ns=first,
        first_token_ns=None if failed else first, first_answer_ns=None if failed else first,
        last_token_ns=None if failed else last, done_ns=first if failed else last,
        status=429 if failed else 200, error_kind="http_429" if failed else None, error_detail=None,
        finish_reason=None if failed else "length", max_tokens=60, prompt_tokens=None if failed else 30,
        cached_tokens=None, output_tokens=None if failed else billed, reasoning_tokens=None,
        chunks=0 if failed else tokens, count_source=None if failed else "usage",
        cost_nano_usd=None if failed or vendor not in PRICES else round(billed * 1000 * PRICES[vendor][1]),
        arrivals_ns=[] if failed else [first, last],
        output_chars=None if failed else 5 * tokens, reference_tokens=None if failed else tokens,
    )  # fmt: skip
