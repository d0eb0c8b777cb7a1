"""Several engines of one model, each on a device of its own, behind one front: data parallel.

A request goes whole to the engine with the fewest open ones. Knows engines only by what `job.Engine` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from loadlab.server.job import Counts, Engine, EngineError, Job, Load, Sink, Turn


class Member(Engine, Protocol):
    """An engine that knows how many of its jobs have not ended."""

    @property
    def open_jobs(self) -> int:
        """Jobs taken and not ended."""


class ParallelEngine:
    """See `job.Engine`. It serves as long as one member does; settings are switched in all of them."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self.name, self.model = members[0].name, members[0].model

    @property
    def device(self) -> str:
        """All devices, in order."""
        return ", ".join(member.device for member in self._members)

    @property
    def context(self) -> int:
        """What every member can hold."""
        return min(member.context for member in self._members)

    @property
    def places(self) -> int:
        """Those of the members that can answer; settings tell of one member's."""
        return sum(member.places for member in self._members if not member.trouble())

    async def start(self) -> None:
        await asyncio.gather(*(member.start() for member in self._members))

    async def stop(self) -> None:
        await asyncio.gather(*(member.stop() for member in self._members))

    def encode(self, text: str) -> list[int]:
        return self._members[0].encode(text)

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return self._members[0].encode_chat(turns)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return self._members[0].pieces(tokens)

    def submit(self, job: Job, sink: Sink) -> None:
        sound = [member for member in self._members if not member.trouble()]
        min(sound or self._members, key=lambda member: member.open_jobs).submit(job, sink)

    def abort(self, job_id: str) -> None:
        for member in self._members:  # those that do not know it ignore it
            member.abort(job_id)

    def load(self) -> Load:
        loads = [member.load() for member in self._members]
        return Load(
            sum(load.running for load in loads),
            sum(load.waiting for load in loads),
            sum(load.kv_usage for load in loads) / len(loads),
            sum((load.counts for load in loads), Counts()),
        )

    def trouble(self) -> str | None:
        troubles = [member.trouble() for member in self._members]
        return None if None in troubles else troubles[0]

    def settings(self) -> dict[str, Any]:
        return self._members[0].settings()

    async def configure(self, changes: Mapping[str, Any]) -> None:
        if trouble := next(filter(None, (member.trouble() for member in self._members)), None):
            raise EngineError(f"one of {len(self._members)} engines cannot be switched now: {trouble}", 503)
        await asyncio.gather(*(member.configure(changes) for member in self._members))

    def report(self, query: Mapping[str, str]) -> bytes | None:
        return None
