"""The GPUs of another host: from a `loadlab gpu agent` there, or from a page of its DCGM exporter or Triton.

Readings of the agent carry its own times; they are moved to our clock, and how well is a reading too. A page
carries none: its numbers are stamped with the middle of the request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from loadlab.collectors import names
from loadlab.collectors.clock_offset import ClockOffset
from loadlab.collectors.gpus import chosen
from loadlab.collectors.pages import FAILURES, Answer, Page, Sample, document, in_words, samples, shown
from loadlab.core.clock import now_ns
from loadlab.core.nouns import Reading
from loadlab.core.units import NS_PER_MS, NS_PER_S, number

_SOURCE = "nvml"
_ADVICE = "so there are no GPU readings; is --gpu-url right?"
_TRIPS = 8
_SLOW_PAGE_NS = 5 * NS_PER_S


class AgentGpus:
    """What a `loadlab gpu agent` has read since we asked last, at its own pace, asked for once a second."""

    name = "gpu-agent"
    period_s = 1.0
    idle_s = 2.5

    def __init__(self, url: str, token: str | None = None, gpus: str | None = None) -> None:
        self.notes: list[str] = []
        self._page, self._shown = Page(url.rstrip("/"), token), shown(url)
        self._chosen = chosen(gpus)
        self._clock = ClockOffset()
        self._agent, self._next = "", 0
        self._bound_ns = 0.0

    async def open(self) -> str | None:
        """Sets the clocks side by side, and asks what the agent holds, to skip what was before us."""
        try:
            for _ in range(_TRIPS):
                self._set_clock(await self._page.get("/clock"))
            if said := self._take(await self._page.get("/readings?after=-1"))[1]:
                await self._page.close()
                return f"the agent at {self._shown} reads no GPU: {said}"
        except FAILURES as error:
            await self._page.close()
            return f"{in_words(error)} at {self._shown}, {_ADVICE}"
        return None

    async def read(self) -> list[Reading]:
        """The new readings, on our clock; nothing while the agent does not answer."""
        try:
            self._set_clock(await self._page.get("/clock"))
            rows, _ = self._take(await self._page.get(f"/readings?after={self._next}"))
            return self._placed(rows)
        except FAILURES as error:
            self._note(f"{in_words(error)} at {self._shown}: the GPU readings have a gap.")
            return []

    async def close(self) -> None:
        """Ends the connection, and says how well the clocks were set."""
        if best := self._clock.best(now_ns()):
            ahead = self._clock.ahead_of_utc_ns(best[0]) / NS_PER_MS
            words = "behind" if ahead < 0 else "ahead of"
            self.notes.append(
                f"the clock of {self._page.device} is {number(abs(ahead))} ms {words} this host's; its GPU "
                f"readings are moved to ours, to within {number(self._bound_ns / NS_PER_MS)} ms."
            )
        await self._page.close()

    def _set_clock(self, answer: Answer) -> None:
        said = document(answer.text)
        agent, utc_ns = _field(said, "agent", str), _field(said, "utc_ns", int)
        if self._agent and agent != self._agent:
            self._note(f"the agent at {self._shown} was started again: the GPU readings have a gap.")
            self._clock.forget()
            self._next = 0
        self._agent = agent
        self._clock.add(answer.sent_ns, utc_ns, answer.received_ns)

    def _take(self, answer: Answer) -> tuple[list[Any], str]:
        said = document(answer.text)
        rows = _field(said, "readings", list)
        self._next = _field(said, "next", int)
        for note in _field(said, "notes", list):
            self._note(f"{self._page.device}: {str(note)[:300]}")
        return rows, _field(said, "absent", str)

    def _placed(self, rows: list[Any]) -> list[Reading]:
        """The rows on our clock, and how well it is set. Raises ValueError for what is no reading."""
        best = self._clock.best(now_ns())
        if best is None:
            return []
        ahead_ns, self._bound_ns = best
        return [*self._ours(rows, ahead_ns), *self._clock_readings(ahead_ns)]

    def _ours(self, rows: Iterable[Any], ahead_ns: int) -> Iterator[Reading]:
        for row in rows:
            at_ns, device, metric, value = _row(row)
            wanted = self._chosen is None or _index(device) in self._chosen
            if wanted and names.believable(metric, value):
                yield Reading(at_ns - ahead_ns, _SOURCE, f"{self._page.device}/{device}", metric, value)

    def _clock_readings(self, ahead_ns: int) -> Iterator[Reading]:
        values = {"ahead_ms": self._clock.ahead_of_utc_ns(ahead_ns), "error_ms": self._bound_ns}
        for metric, value_ns in values.items():
            yield Reading(now_ns(), "clock", self._page.device, metric, value_ns / NS_PER_MS)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


class PageGpus:
    """The GPUs on a Prometheus page, read every second; a page that was not renewed says nothing new."""

    name = "gpu-page"
    period_s = 1.0
    idle_s = 6.0

    def __init__(self, url: str, token: str | None = None, gpus: str | None = None) -> None:
        self.notes: list[str] = []
        self._page, self._shown = Page(url, token), shown(url)
        self._chosen = chosen(gpus)
        self._last: dict[str, dict[str, float]] = {}
        self._renewed_ns: dict[str, int] = {}
        self._longest_ns = 0

    async def open(self) -> str | None:
        """Reads the page once, so that a wrong address is known at once."""
        try:
            found = gpus_of((await self._page.get()).text)
        except FAILURES as error:
            await self._page.close()
            return f"{in_words(error)} at {self._shown}, {_ADVICE}"
        if not any(self._wanted(device) for device in found):
            await self._page.close()
            return f"{self._shown} names no GPU that was asked for, {_ADVICE}"
        return None

    async def read(self) -> list[Reading]:
        """The GPUs whose numbers are new; nothing while the page does not answer."""
        try:
            answer = await self._page.get()
            found = gpus_of(answer.text)
        except FAILURES as error:
            if not self.notes:
                self.notes.append(f"{in_words(error)} at {self._shown}: the GPU readings have a gap.")
            return []
        renewed = [device for device in found if self._wanted(device) and self._is_new(device, found, answer)]
        return [
            Reading(answer.middle_ns, _SOURCE, f"{self._page.device}/{device}", metric, value)
            for device in renewed
            for metric, value in found[device].items()
        ]

    async def close(self) -> None:
        """Ends the connection, and says when the page was too slow to follow a level."""
        if self._longest_ns > _SLOW_PAGE_NS:
            self.notes.append(
                f"{self._shown} took up to {number(self._longest_ns / NS_PER_S)} s to renew its numbers; "
                "energy of short levels cannot be known from it (dcgm-exporter: --collect-interval 1000)."
            )
        await self._page.close()

    def _wanted(self, device: str) -> bool:
        return self._chosen is None or _index(device) in self._chosen

    def _is_new(self, device: str, found: dict[str, dict[str, float]], answer: Answer) -> bool:
        if self._last.get(device) == found[device]:
            return False
        if device in self._renewed_ns:
            self._longest_ns = max(self._longest_ns, answer.middle_ns - self._renewed_ns[device])
        self._last[device], self._renewed_ns[device] = found[device], answer.middle_ns
        return True


def gpus_of(page: str) -> dict[str, dict[str, float]]:
    """device -> metric -> value of a page of DCGM, Triton or our agent. Raises ValueError."""
    known = tuple(names.GPU_PAGES)
    found: dict[str, dict[str, float]] = {}
    uuids: dict[str, int] = {}
    for sample in samples(page, lambda line: line.startswith((*known, names.AGENT_PREFIX))):
        metric, factor = _named(sample)
        if metric and names.believable(metric, sample.value * factor):
            # The first line counts: a GPU shared by containers is listed once for each of them.
            found.setdefault(_device(sample, metric, uuids), {}).setdefault(metric, sample.value * factor)
    return found


def _named(sample: Sample) -> tuple[str, float]:
    if sample.name.startswith(names.AGENT_PREFIX):
        return sample.name.removeprefix(names.AGENT_PREFIX), 1
    return names.GPU_PAGES.get(sample.name, ("", 1))


def _device(sample: Sample, metric: str, uuids: dict[str, int]) -> str:
    labels = sample.labels
    if "gpu_uuid" in labels:  # Triton numbers nothing
        return f"gpu{uuids.setdefault(labels['gpu_uuid'], len(uuids))}"
    gpu = labels.get("gpu", "0").removeprefix("gpu")
    if (part := labels.get("GPU_I_ID")) and metric in names.OF_A_SLICE:
        return f"gpu{gpu}.mig{part}"
    return f"gpu{gpu}"


def _index(device: str) -> int:
    """The number in "gpu1" and in "gpu1.mig2"; -1 when there is none."""
    digits = device.removeprefix("gpu").partition(".")[0]
    return int(digits) if digits.isdecimal() else -1


def _field(said: Any, name: str, kind: type) -> Any:
    if not isinstance(said, dict) or not isinstance(said.get(name), kind):
        raise ValueError(f"it has no {name}; is it a loadlab gpu agent?")
    return said[name]


def _row(row: Any) -> tuple[int, str, str, float]:
    match row:
        case [int(at_ns), str(device), str(metric), int() | float() as value] if math.isfinite(value):
            return at_ns, device, metric, float(value)
    raise ValueError(f"a reading like {str(row)[:60]} is none; is it a loadlab gpu agent?")
