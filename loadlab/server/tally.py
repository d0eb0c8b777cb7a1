"""What the scheduler has done so far, as it counts it; `job.Counts` is a copy of it at one moment."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from loadlab.server.job import STEP_BOUNDS, Counts


@dataclass(slots=True)
class Tally:
    """See `job.Counts`, of which these are the scheduler's part."""

    prefix_queries: int = 0
    prefix_hits: int = 0
    preemptions: int = 0
    drafts: int = 0
    draft_tokens: int = 0
    accepted: list[int] = field(default_factory=list)
    prompt_tokens_computed: int = 0
    generated: int = 0
    steps: int = 0
    steps_by_tokens: list[int] = field(default_factory=lambda: [0] * (len(STEP_BOUNDS) + 1))

    def stepped(self, prompt_tokens: int, generated: int) -> None:
        """A step ended that computed and chose so many tokens."""
        self.prompt_tokens_computed += prompt_tokens
        self.generated += generated
        self.steps_by_tokens[bisect_left(STEP_BOUNDS, prompt_tokens + generated)] += 1

    def counts(self) -> Counts:
        """A copy for others."""
        return Counts(
            self.prefix_queries,
            self.prefix_hits,
            self.preemptions,
            self.drafts,
            self.draft_tokens,
            sum(self.accepted),
            tuple(self.accepted),
            self.prompt_tokens_computed,
            self.generated,
            self.steps,
            steps_by_tokens=tuple(self.steps_by_tokens),
        )
