"""What the recorder pays per event, dialect by dialect: CPU µs of decoding, best of fifteen, nothing else.

    python scripts/bench/decode.py

An answer is 500 pieces of text that arrive one by one, as each dialect's vendor frames them; tokens of most
languages come one to an event. No socket, no database.
"""

from __future__ import annotations

import time

from loadlab import dialects
from loadlab.core.nouns import Exchange
from loadlab.core.reads import Reads
from loadlab.recorder.decode import decode
from loadlab.testing.vendors import Vendor, vendor

EVENTS, ROUNDS = 500, 15


def answer(known: Vendor) -> Exchange:
    """One answer as the wire hands it over."""
    assert known.answers
    pieces = known.answers([f" word{number}" for number in range(EVENTS)])
    body = [*known.opening, *pieces, *known.ending(True)]
    return Exchange(
        0, 0, 0, 0, sent_ns=1, first_byte_ns=2, done_ns=len(body) + 2, status=200,
        content_type=known.content_type, reads=Reads(enumerate(body, 2)),
    )  # fmt: skip


def cost_us(name: str) -> float:
    """CPU time per event."""
    dialect, exchange = dialects.get(name), answer(vendor(name))
    costs = []
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        result = decode(exchange, dialect)
        costs.append(time.process_time_ns() - begun)
        assert result.error_kind is None, result.error_detail
    return min(costs) / EVENTS / 1000


def main() -> None:
    """Prints a row per dialect that streams."""
    for name in dialects.DIALECTS:
        if vendor(name).answers:
            print(f"{name:24}{cost_us(name):8.2f} µs per event")


if __name__ == "__main__":
    main()
