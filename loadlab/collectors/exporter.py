"""The server's own numbers from its Prometheus page, under one set of names whatever the server (names.py).

Of a page of no known server its own plain gauges and counters are taken, under their own names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from loadlab.collectors import names
from loadlab.collectors.counters import Counters, Series
from loadlab.collectors.pages import FAILURES, Page, Sample, in_words, samples, shown
from loadlab.core.nouns import Reading

Found = tuple[str, Series, float]

_SOURCE = "server"
_ADVICE = "so there are no server readings; is --metrics-url right?"
_KNOWN = tuple(name.partition("{")[0] for name in names.SERVER)
_PREFIXES = ("vllm:", "sglang:", "tgi_", "trtllm_", "nv_", "llamacpp:")
_RUNTIME = ("#", "python_", "process_", "go_", "promhttp_")
_OWN_LIMIT = 40


class Scrape:
    """One server's Prometheus page, read every second."""

    name = "scrape"
    period_s = 1.0
    idle_s = 0.0

    def __init__(self, url: str) -> None:
        self.notes: list[str] = []
        self._page, self._shown = Page(url), shown(url)
        self._counters = Counters()
        self._doubted: set[str] = set()
        self._own = self._seen_any = self._gap = False

    async def open(self) -> str | None:
        """Reads the page once, so that a wrong address is known at once."""
        try:
            text = (await self._page.get()).text
        except FAILURES as error:
            await self._page.close()
            return f"{in_words(error)} at {self._shown}, {_ADVICE}"
        self._own = not any(line.startswith(_PREFIXES) for line in text.splitlines())
        return None

    async def read(self) -> list[Reading]:
        """The known metrics; nothing while the server does not answer."""
        try:
            answer = await self._page.get()
            found = list(own(answer.text)) if self._own else self._believed(parse(answer.text))
        except FAILURES as error:
            self._note_gap(error)
            return []
        self._seen_any = self._seen_any or bool(found)
        values = self._values(found)
        at_ns, device = answer.middle_ns, self._page.device
        return [Reading(at_ns, _SOURCE, device, name, value) for name, value in values.items()]

    async def close(self) -> None:
        """Ends the connection, and says what kind of page it was where that needs saying."""
        if not self._seen_any and not self.notes:
            self.notes.append(f"{self._shown} named no metric of a known server.")
        elif self._own and self._seen_any:
            self.notes.append(
                f"{self._shown} is of no known server: its own metrics are stored by their names."
            )
        if self._counters.restarts:
            self.notes.append(
                f"counters of {self._shown} went back ({self._counters.restarts} times): the server was "
                "started again, or lies; no increase over such a moment is reported."
            )
        await self._page.close()

    def _values(self, found: Iterable[Found]) -> dict[str, float]:
        """Gauges merged over engines, counters as totals, and how often those began anew."""
        found = list(found)
        counted = self._counters.take(each for each in found if each[0] in names.COUNTERS)
        values = {**merged(each for each in found if each[0] not in names.COUNTERS), **counted}
        return {**values, "counter_restarts": float(self._counters.restarts)} if counted else values

    def _believed(self, found: Iterable[Found]) -> list[Found]:
        """Without what cannot be true, which is said once per name."""
        kept = []
        for name, series, value in found:
            if names.believable(name, value):
                kept.append((name, series, value))
            elif name not in self._doubted:
                self._doubted.add(name)
                self.notes.append(f"{self._shown} gave {value:g} as {name}, which cannot be: left out.")
        return kept

    def _note_gap(self, error: Exception) -> None:
        if not self._gap:
            self._gap = True
            self.notes.append(f"{in_words(error)} at {self._shown}: the server readings have a gap.")


def parse(page: str) -> Iterator[Found]:
    """(our name, series, value) of every known metric of a page. Raises ValueError for another format."""
    for sample in samples(page, lambda line: line.startswith(_KNOWN)):
        if (first := names.SECOND_CHOICE.get(sample.name)) and first in page:
            continue
        for name in _ours(sample):
            yield name, sample.series, sample.value


def _ours(sample: Sample) -> tuple[str, ...]:
    if sample.name in names.SERVER:
        return names.SERVER[sample.name]
    labelled = (f"{sample.name}{{{key}={value}}}" for key, value in sample.labels.items())
    return next((names.SERVER[name] for name in labelled if name in names.SERVER), ())


def own(page: str) -> Iterator[Found]:
    """The gauges and counters without labels of an unknown page, at most 40. Raises ValueError."""
    plain = samples(page, lambda line: "{" not in line and bool(line) and not line.startswith(_RUNTIME))
    for count, sample in enumerate(plain):
        if count < _OWN_LIMIT and not sample.name.endswith(("_sum", "_count", "_created")):
            yield sample.name, sample.series, sample.value


def merged(found: Iterable[Found]) -> dict[str, float]:
    """One value per name: requests summed over engines, of the KV caches the fullest, of ratios the mean."""
    by_name: dict[str, list[float]] = {}
    for name, _, value in found:
        by_name.setdefault(name, []).append(value)
    return {name: _merge(name, values) for name, values in by_name.items()}


def _merge(name: str, values: list[float]) -> float:
    if name in names.FULLEST:
        return max(values)
    return sum(values) / len(values) if name in names.AVERAGED else sum(values)
