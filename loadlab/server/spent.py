"""What one answer took, in tokens and in time: what usage blocks and server timings are made of."""

from __future__ import annotations

from typing import NamedTuple

from loadlab.core.units import NS_PER_MS


class Spent(NamedTuple):
    """Tokens of the prompt, of these from the prefix cache, tokens generated; and where the time went.

    Queue is from arrival to admission, prefill from there to the first token, decode from there to the last.
    """

    prompt_tokens: int
    cached_tokens: int
    tokens: int
    queue_ns: int = 0
    prefill_ns: int = 0
    decode_ns: int = 0

    def timings(self) -> dict[str, float]:
        """The server's own account, in ms: the `timings` object of an answer."""
        return {
            "queue_ms": self.queue_ns / NS_PER_MS,
            "prefill_ms": self.prefill_ns / NS_PER_MS,
            "decode_ms": self.decode_ns / NS_PER_MS,
        }
