"""Carries out a vendor comparison: block by block, each vendor an ordinary stored run, never over a cap."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loadlab.cli.output import say
from loadlab.core.errors import InterruptedRunError, LoadlabError, MeasurementError, TargetError, UsageError
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.core.units import NS_PER_S, usd
from loadlab.vendors import Block, Study, Vendor, Workload, due_ns, seed_of
from loadlab.vendors.protocol import blocks

if TYPE_CHECKING:
    from loadlab.pricing.estimate import Estimate

_SCENARIO = "chat"
_LOOK_S = 5.0
_STOPPED = "stopped; what was measured is kept, and `loadlab vendors run` goes on from there."


def endpoint(vendor: Vendor) -> Endpoint:
    """Where a vendor is asked: a target of loadlab.toml, or one of the same keys. Raises UsageError."""
    from loadlab.dialects import profiles

    given = dict(vendor.endpoint)
    if target := given.pop("target", None):
        found = profiles.target(str(target))
        changes = {"auth_env": given.pop("api_key_env", None), **given}
        found = replace(found, **{key: value for key, value in changes.items() if value})
    else:
        # What [targets.NAME] of loadlab.toml would be, under the vendor's name.
        from loadlab.core import config

        found = config.target(vendor.name, {"targets": {vendor.name: given}})
    return replace(profiles.resolve(found), name=vendor.name)


def run_of(study: Study, vendor: Vendor, workload: Workload, slot: int, where: Endpoint) -> Run:
    """One vendor's part of a block: its prompts after each other, the first on a new connection."""
    from loadlab import pricing
    from loadlab.drive import spec

    price, unpriced = pricing.resolve(where.price, where)
    asked = {
        "max_tokens": workload.max_tokens, "source": workload.prompts,
        "prompt_tokens": workload.prompt_tokens,
        "prefix_tokens": workload.prefix_tokens, "request_seed": study.request_seed,
        # Vendors may resell each other: each has marks of its own, or one would warm the other's cache.
        "nonce": "" if workload.cached else f"{study.name}/{vendor.name}",
    }  # fmt: skip
    return spec.build(
        spec.find_scenario(_SCENARIO),
        where,
        (Level(0, users=1, requests=study.prompts + 1),),
        seed=seed_of(study, slot, workload.name),
        timeout_s=study.timeout_s,
        price=price,
        unpriced=unpriced,
        terms=pricing.terms(),
        label=f"vendors {study.name} · slot {slot + 1} · {workload.name}",
        workload=asked,
        reference=study.reference,
    )


def estimated(study: Study, vendor: Vendor) -> Estimate | None:
    """What one vendor will cost over the whole comparison; None where it is not billed by use."""
    from loadlab.drive.sizes import sizes_of
    from loadlab.pricing.estimate import Estimate, Size, estimate

    likely = worst = 0.0
    for workload in study.workloads:
        run = run_of(study, vendor, workload, 0, endpoint(vendor))
        if run.price is None or run.price.kind != "token":
            return None
        found = estimate(run.price, [Size(*size) for size in sizes_of(run)], study.requests)
        if found is None:
            return None
        likely += found.request_usd
        worst += found.worst_request_usd
    count = len(study.workloads)
    return Estimate(likely / count, worst / count, study.requests * count)


class Progress:
    """One comparison on its way. `begin` checks and announces; `work` measures slots."""

    def __init__(self, database: Any, study: Study, place: str, *, yes: bool) -> None:
        from loadlab.recorder.tokens import best

        self._store, self._place, self._yes = database, place, yes
        self._study = study if study.reference else replace(study, reference=best())
        self._endpoints: dict[str, Endpoint] = {}
        self._stopped = False

    def begin(self) -> None:
        """Checks every vendor, says what it will cost, and stores what is measured. Raises LoadlabError."""
        from loadlab.recorder.tokens import counter

        counter(self._study.reference)
        self._check_before()
        models = self._models()
        for vendor in self._study.vendors:
            self._endpoints[vendor.name] = self._reached(vendor, models)
            self._announce(vendor)
        self._store.define_study(self._study.name, self._study.document())
        if not self._study.publish_terms_checked:
            say("note: some vendors' terms restrict publishing benchmarks (publish_terms_checked = false)")

    def _check_before(self) -> None:
        """What is stored under the name must have been measured alike."""
        if self._study.name not in set(self._store.studies()["name"]):
            return
        before = Study.from_document(self._store.study(self._study.name))
        differs = self._study.measures_as(before)
        if differs and len(self._store.vendor_slots(self._study.name)):
            raise UsageError(
                f"'{self._study.name}' has slots that were measured otherwise ({differs} differ): "
                "give the changed file another name, or change it back."
            )

    def _models(self) -> dict[str, str]:
        """The model that each vendor was asked for so far."""
        slots = self._store.vendor_slots(self._study.name).dropna(subset=["run_id"]).drop_duplicates("vendor")
        return {
            row["vendor"]: self._store.run(row["run_id"]).spec.endpoint.model
            for row in slots.to_dict("records")
        }

    def _reached(self, vendor: Vendor, models: dict[str, str]) -> Endpoint:
        """The endpoint with its model. Before the first slot it must answer; later, silence is a result."""
        from loadlab.drive import preflight
        from loadlab.wire.auth import signer_of

        where = endpoint(vendor)
        if vendor.name in models:
            return replace(where, model=models[vendor.name])
        return preflight.check(where, signer_of(where))

    def _announce(self, vendor: Vendor) -> None:
        """The estimate before a cent is spent. Raises UsageError where a vendor bills and nothing caps it."""
        from loadlab.cli.spend import on_this_machine

        found, cap = estimated(self._study, vendor), self._cap(vendor)
        if found is None:
            return
        say(f"{vendor.name}: {found.words}" + (f"; capped at {usd(cap)}" if cap is not None else ""))
        if cap is None and not self._yes and not on_this_machine(self._endpoints[vendor.name].url):
            raise UsageError(
                f"{vendor.name} bills by use ({found.words}). Give max_usd in [vendors.{vendor.name}] or for "
                "all, or --yes to measure without a cap."
            )

    def _cap(self, vendor: Vendor) -> float | None:
        caps = [cap for cap in (vendor.max_usd, self._study.max_usd) if cap is not None]
        return min(caps) if caps else None

    def work(self, count: int, *, wait: bool) -> None:
        """So many slots, at once, or each when it is due. Raises InterruptedRunError when told to stop."""
        # A shell that starts it in the background has SIGINT ignored: between runs both stop it all the same.
        stops = (signal.SIGINT, signal.SIGTERM)
        before = [(number, signal.signal(number, signal.default_int_handler)) for number in stops]
        try:
            self._work(count, wait=wait)
        except KeyboardInterrupt:
            raise InterruptedRunError(_STOPPED) from None
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _work(self, count: int, *, wait: bool) -> None:
        for _ in range(count):
            slot = self._next_slot()
            if slot is None:
                say("all slots are done")
                return
            if wait:
                self._await(slot)
            self._slot(slot)

    def _next_slot(self) -> int | None:
        """The first slot that is not whole; None when all are."""
        done = self._done()
        wanted = len(self._study.vendors) * len(self._study.workloads)
        for slot in range(self._study.slots):
            if sum(1 for key in done if key[0] == slot) < wanted:
                return slot
        return None

    def _done(self) -> set[tuple[int, str, str]]:
        """What needs no more measuring: (slot, workload, vendor)."""
        slots = self._store.vendor_slots(self._study.name)
        kept = slots[slots["state"] != "stale"]
        return set(zip(kept["slot"], kept["workload"], kept["vendor"], strict=True))

    def _await(self, slot: int) -> None:
        """Sleeps until a slot is due; one that has begun is finished first."""
        slots = self._store.vendor_slots(self._study.name)
        if slots.empty or (slots["slot"] == slot).any():
            return
        last = slots[slots["slot"] == slots["slot"].max()]
        began = int(slots["began_at_ns"].min()), int(last["began_at_ns"].min())
        due = due_ns(self._study, *began, time.time_ns())
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(due // NS_PER_S))
        say(f"slot {slot + 1} of {self._study.slots} is due {at} UTC")
        while (left := (due - time.time_ns()) / NS_PER_S) > 0:
            time.sleep(min(left, _LOOK_S))

    def _slot(self, slot: int) -> None:
        for block in blocks(self._study, slot):
            self._block(block)

    def _block(self, block: Block) -> None:
        """One workload, vendor after vendor; one that was left half done too long ago is done again whole."""
        slots = self._store.vendor_slots(self._study.name)
        of_block = (slots["slot"] == block.slot) & (slots["workload"] == block.workload)
        mine = slots[of_block & (slots["state"] != "stale")]
        done = set(mine["vendor"])
        if done >= set(block.vendors):
            return
        if done and time.time_ns() - int(mine["ended_at_ns"].max()) > self._study.max_gap_s * NS_PER_S:
            say(f"slot {block.slot + 1}, {block.workload}: left half done for too long, and done again")
            self._store.retire_block(self._study.name, block.slot, block.workload)
            done = set()
        for position, name in enumerate(block.vendors):
            if name not in done:
                self._measure(block, position, self._study.vendor(name))

    def _measure(self, block: Block, position: int, vendor: Vendor) -> None:
        began = time.time_ns()
        run_id, state, why = None, "skipped", self._spent_out(vendor)
        if not why:
            run_id, state, why = self._run(block, vendor)
        self._store.add_vendor_slot(
            study=self._study.name, slot=block.slot, workload=block.workload, position=position,
            vendor=vendor.name, state=state, why=why, began_at_ns=began, ended_at_ns=time.time_ns(),
            run_id=run_id,
        )  # fmt: skip
        told = f"slot {block.slot + 1} of {self._study.slots}, {block.workload}, {vendor.name}: {state}"
        say(f"{told} ({why})" if why else told)
        if self._stopped:
            raise InterruptedRunError(_STOPPED)

    def _run(self, block: Block, vendor: Vendor) -> tuple[str | None, str, str]:
        """The run's id, how it went and why. A vendor that is down has failed its slot; the others go on."""
        from loadlab.drive.lifecycle import Supervisor

        workload = self._study.workload(block.workload)
        run = run_of(self._study, vendor, workload, block.slot, self._endpoints[vendor.name])
        left = self._left(vendor)
        if left is not None and run.price is not None and run.price.kind == "token":
            worst = estimated(self._study, vendor)
            run = replace(
                run, max_cost_usd=left, worst_request_usd=worst.worst_request_usd if worst else None
            )
        try:
            outcome = Supervisor(run, self._place, lambda progress: None).execute()
        except (TargetError, MeasurementError) as error:
            return None, "failed", str(error)
        if not outcome.books_closed:
            self._store.finish_run(run.id, "interrupted", outcome.notes)
        self._judge(run.id)
        self._stopped = outcome.asked_to_stop
        if outcome.interrupted and not outcome.over_cap:
            self._stopped = True
            return run.id, "stale", "; ".join(outcome.notes)  # it does not count, and what it cost does
        return run.id, "done", "; ".join(outcome.notes)

    def _judge(self, run_id: str) -> None:
        from loadlab import analysis

        try:
            summary = analysis.summary_of(self._store, run_id)
        except LoadlabError:
            return
        self._store.set_verdict(run_id, summary.run["verdict"], summary.run["reasons"])

    def _left(self, vendor: Vendor) -> float | None:
        """USD that this vendor may still cost; None without a cap."""
        from loadlab.analysis.vendor_spend import spent_usd

        spent = spent_usd(self._store, self._study.name)
        lefts = []
        if vendor.max_usd is not None:
            lefts.append(vendor.max_usd - spent.get(vendor.name, 0.0))
        if self._study.max_usd is not None:
            lefts.append(self._study.max_usd - sum(spent.values()))
        return min(lefts) if lefts else None

    def _spent_out(self, vendor: Vendor) -> str:
        """Why nothing more is sent to this vendor; "" while something may be."""
        left = self._left(vendor)
        return "" if left is None or left > 0 else "its spending cap is reached"
