"""In which order vendors are measured, with which prompts, and when. Pure: the same file, the same plan.

A block is one workload in one slot, all vendors one after the other. Over as many slots as there are vendors
each stands once at every place (a Latin square), and, of an even number, once behind every other (Williams).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from loadlab.core.units import NS_PER_S
from loadlab.vendors.study import Study

_QUIET_SHARE = 0.75  # of a slot's window: the last quarter is for the slot itself


@dataclass(frozen=True, slots=True)
class Block:
    """One workload of one slot with its vendors in the order measured."""

    slot: int
    workload: str
    vendors: tuple[str, ...]


def blocks(study: Study, slot: int) -> list[Block]:
    """The blocks of a slot; workloads in an order drawn for the slot."""
    names = [workload.name for workload in study.workloads]
    order = random.Random(_number(study, "workloads", slot)).sample(names, len(names))
    return [Block(slot, name, block_order(study, slot, names.index(name))) for name in order]


def block_order(study: Study, slot: int, place: int) -> tuple[str, ...]:
    """The vendors of the workload at `place` in a slot, first to last."""
    count = len(study.vendors)
    cycle, row = divmod(slot + place, count)
    names = [vendor.name for vendor in study.vendors]
    shuffled = random.Random(_number(study, "vendors", cycle)).sample(names, count)
    # Of an odd number one square cannot put each behind every other: every second one is mirrored.
    first = _first_row(count) if cycle % 2 == 0 or count % 2 == 0 else _first_row(count)[::-1]
    return tuple(shuffled[(at + row) % count] for at in first)


def _first_row(count: int) -> Sequence[int]:
    """0, 1, n-1, 2, n-2, …: shifted by every row, each place differs and so do the neighbours."""
    return [(at + 1) // 2 if at % 2 else (count - at // 2) % count for at in range(count)]


def seed_of(study: Study, slot: int, workload: str) -> int:
    """The seed of a block's prompts: the same for every vendor, another in every block."""
    return _number(study, workload, slot) % (1 << 31)


def _number(study: Study, what: str, at: int) -> int:
    digest = blake2b(f"{study.name}\0{study.seed}\0{what}\0{at}".encode(), digest_size=8)
    return int.from_bytes(digest.digest())


def due_ns(study: Study, began_ns: int, last_ns: int | None, now_ns: int) -> int:
    """When the next slot is due (UTC ns): somewhere in its window, by seed.

    Windows lie one behind the other from `began_ns` on. A window that passed while nothing ran is lost, and
    the comparison takes longer: catching up would put many slots at one time of day. `last_ns` is the start
    of the last slot.
    """
    length = round(study.every_s * NS_PER_S)
    window = max(0, (now_ns - began_ns) // length)
    if last_ns is not None:
        window = max(window, (last_ns - began_ns) // length + 1)
    late = random.Random(_number(study, "time", window)).random() * _QUIET_SHARE if window else 0.0
    return began_ns + window * length + round(late * length)
