"""What is asked. A workload gives the same requests for the same seed, whoever draws them.

Several load workers share one stream by stride: of `n` workers, worker `i` draws requests i, i + n, …
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from loadlab.core.nouns import Request
from loadlab.workloads.asked import Asked, asked
from loadlab.workloads.clips import Clips
from loadlab.workloads.nonces import Nonces
from loadlab.workloads.patterns import Copying, LongAmongShort, Repeats, SharedPrefix
from loadlab.workloads.prompts import Prompts
from loadlab.workloads.replay import Replay
from loadlab.workloads.synthetic import Synthetic

__all__ = [
    "Asked",
    "Clips",
    "Copying",
    "LongAmongShort",
    "Nonces",
    "Prompts",
    "Repeats",
    "Replay",
    "SharedPrefix",
    "Synthetic",
    "Workload",
    "asked",
    "share",
]


class Workload(Protocol):
    """An endless, seeded stream of requests."""

    def requests(self, seed: int) -> Iterator[Request]:
        """The stream; equal seeds give equal requests."""


def share(stream: Iterator[Request], index: int, count: int) -> Iterator[Request]:
    """The part of `stream` that worker `index` of `count` draws."""
    return islice(stream, index, None, count)
