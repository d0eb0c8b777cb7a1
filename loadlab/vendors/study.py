"""`vendors.toml`, read and checked: every key and number, before anything is sent.

name = "november"
days = 7
slots_per_day = 8
prompts = 10                        # a slot's requests to each vendor, for each workload
max_usd = 20.0                      # all vendors together
region = "Frankfurt, one virtual machine"

[vendors.alpha]
target = "alpha"                    # of loadlab.toml, or the keys of a target here
max_usd = 5.0
account = "tier 2, 500 requests per minute"

[workloads.chat]
prompts = "everyday"
max_tokens = 200
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from loadlab.core import config
from loadlab.core.errors import UsageError
from loadlab.core.units import parse_duration

LIST_BLEND = (3.0, 1.0)
REFERENCES = {
    "smollm2": "the tokenizer of SmolLM2 (49,152 pieces)",
    "pieces": "words, numbers by up to three digits, and marks: an estimate that needs no tokenizer",
}
_FREE = ("max_usd", "publish_terms_checked", "sponsor", "own_mix", "notes", "account", "quantisation")
_ENDPOINT = {"target", *config.TARGET_KEYS}


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who is compared. `endpoint` names a target, or holds a target's own keys; the rest is disclosed."""

    name: str
    endpoint: Mapping[str, Any]
    max_usd: float | None = None
    account: str = ""
    quantisation: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked: a prompt set or random words, each prompt with a mark of its own, or a shared beginning.

    With `prefix_tokens` caches are meant to help, and the report says so.
    """

    name: str
    max_tokens: int
    prompts: str = "everyday"
    prompt_tokens: int | None = None
    prefix_tokens: int | None = None

    @property
    def cached(self) -> bool:
        """Whether caches are meant to help."""
        return self.prefix_tokens is not None

    @property
    def words(self) -> str:
        """The workload in words."""
        asked = f"{self.prompt_tokens} random words" if self.prompt_tokens else f"prompts of '{self.prompts}'"
        cache = (
            f"after a shared beginning of {self.prefix_tokens} tokens: caches are meant to help"
            if self.cached
            else "each with a mark of its own, so that no cache helps"
        )
        return f"{asked}, {cache}; answers of at most {self.max_tokens} tokens"


@dataclass(frozen=True, slots=True)
class Study:
    """One comparison. `own_mix`: the reader's input and output tokens, as a ratio; `seed` orders everything.

    `max_usd` caps all vendors together. A gap of more than `max_gap_s` between vendors spoils a block.
    """

    name: str
    vendors: tuple[Vendor, ...]
    workloads: tuple[Workload, ...]
    days: int = 7
    slots_per_day: int = 8
    prompts: int = 10
    max_gap_s: float = 60.0
    timeout_s: float = 120.0
    max_usd: float | None = None
    seed: int = 0
    request_seed: int | None = None
    reference: str = ""
    region: str = ""
    sponsor: str = ""
    notes: str = ""
    own_mix: tuple[float, float] = LIST_BLEND
    publish_terms_checked: bool = False

    @property
    def slots(self) -> int:
        """How many there are in all."""
        return self.days * self.slots_per_day

    @property
    def every_s(self) -> float:
        """Seconds from one slot's window to the next."""
        return 86_400 / self.slots_per_day

    @property
    def requests(self) -> int:
        """To each vendor for each workload, over all slots: the prompts, and one on a cold connection."""
        return self.slots * (self.prompts + 1)

    def vendor(self, name: str) -> Vendor:
        """The vendor of that name."""
        return next(vendor for vendor in self.vendors if vendor.name == name)

    def workload(self, name: str) -> Workload:
        """The workload of that name."""
        return next(workload for workload in self.workloads if workload.name == name)

    def document(self) -> dict[str, Any]:
        """Plain values, for the store."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Study:
        """The inverse of `document`."""
        return cls(
            **{
                **document,
                "vendors": tuple(Vendor(**each) for each in document["vendors"]),
                "workloads": tuple(Workload(**each) for each in document["workloads"]),
                "own_mix": tuple(document["own_mix"]),
            }
        )

    def measures_as(self, other: Study) -> str:
        """What differs in how is measured, so that results cannot be laid together; "" when nothing does."""
        mine, theirs = _binding(self.document()), _binding(other.document())
        return ", ".join(key for key in mine if mine[key] != theirs.get(key))


def _binding(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a document that decides what is measured. More days are only more of the same."""
    kept = {key: value for key, value in document.items() if key not in (*_FREE, "days", "region")}
    kept["vendors"] = [
        {key: value for key, value in vendor.items() if key not in _FREE} for vendor in document["vendors"]
    ]
    return kept


@dataclass(frozen=True, slots=True)
class _Number:
    """The range of a number in the file."""

    least: float
    whole: bool = True
    most: float = field(default=math.inf)


_NUMBERS = {
    "days": _Number(1, most=366), "slots_per_day": _Number(1, most=86_400),
    "seed": _Number(0), "request_seed": _Number(0), "max_usd": _Number(0.0, whole=False),
    "max_tokens": _Number(1), "prompt_tokens": _Number(1), "prefix_tokens": _Number(1),
}  # fmt: skip
_WORDS = ("name", "region", "sponsor", "notes", "account", "quantisation", "reference", "target", "url")
_TIMES = {"max_gap": "max_gap_s", "timeout": "timeout_s"}


def read(path: Path) -> Study:
    """The comparison of a file. Raises UsageError with the key that is wrong and what is expected."""
    if not path.is_file():
        raise UsageError(f"'{path}' does not exist; docs/vendors.md has a file to begin with.")
    given = dict(config.parse(path))
    vendors = _tables(path, given, "vendors", 2)
    workloads = _tables(path, given, "workloads", 1)
    known = {entry.name for entry in fields(Study)} - {*_TIMES.values(), "vendors", "workloads"}
    _check(f"{path}", given, {*known, *_TIMES})
    if not _fits(given.get("prompts", 1), _Number(1)):
        raise UsageError(f"{path}: prompts = {given['prompts']!r} must be a whole number of at least 1.")
    times = {_TIMES[key]: _seconds(path, key, given.pop(key)) for key in list(given) if key in _TIMES}
    return Study(
        name=str(given.pop("name", path.stem)),
        vendors=tuple(_vendor(path, *each) for each in vendors.items()),
        workloads=tuple(_workload(path, *each) for each in workloads.items()),
        own_mix=_mix(path, given.pop("own_mix", "3:1")),
        **{**given, **times},
    )


def _tables(path: Path, given: dict[str, Any], key: str, least: int) -> dict[str, dict[str, Any]]:
    found = given.pop(key, {})
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise UsageError(f"{path}: {key} must be tables such as [{key}.alpha].")
    if len(found) < least:
        raise UsageError(f"{path}: {len(found)} [{key}.NAME] given, at least {least} are needed.")
    return {str(name): dict(table) for name, table in found.items()}


def _vendor(path: Path, name: str, table: dict[str, Any]) -> Vendor:
    where = f"{path}: [vendors.{name}]"
    own = {entry.name for entry in fields(Vendor)} - {"name", "endpoint"}
    _check(where, table, {*own, *_ENDPOINT})
    endpoint = {key: value for key, value in table.items() if key in _ENDPOINT}
    if not {"target", "url", "profile"} & set(endpoint):
        raise UsageError(f"{where} has no target of loadlab.toml, no url and no profile: one is needed.")
    return Vendor(name, endpoint, **{key: value for key, value in table.items() if key in own})


def _workload(path: Path, name: str, table: dict[str, Any]) -> Workload:
    where = f"{path}: [workloads.{name}]"
    _check(where, table, {entry.name for entry in fields(Workload)} - {"name"})
    if not isinstance(table.get("prompts", ""), str):
        raise UsageError(f"{where} prompts = {table['prompts']!r} must name a prompt set or a .jsonl file.")
    if "max_tokens" not in table:
        raise UsageError(f"{where} has no max_tokens; every vendor gets the same cap.")
    if "prefix_tokens" in table and "prompts" not in table:
        table = {"prompt_tokens": 30, **table}
    return Workload(name, **table)


def _check(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{where} has unknown key '{key}'. Known: {', '.join(sorted(known))}.")
        if (of := _NUMBERS.get(key)) and not _fits(value, of):
            kind = "a whole number" if of.whole else "a number"
            raise UsageError(f"{where} {key} = {value!r} must be {kind} of at least {of.least:g}.")
        if key in _WORDS and not isinstance(value, str):
            raise UsageError(f"{where} {key} = {value!r} must be words in quotes.")
        if key == "publish_terms_checked" and not isinstance(value, bool):
            raise UsageError(f"{where} {key} = {value!r} must be true or false.")


def _fits(value: Any, of: _Number) -> bool:
    right = isinstance(value, int if of.whole else (int, float)) and not isinstance(value, bool)
    return right and of.least <= value <= of.most and (of.whole or value > 0)


def _seconds(path: Path, key: str, value: Any) -> float:
    seconds = parse_duration(str(value))
    if seconds <= 0:
        raise UsageError(f"{path}: {key} = {value!r} must be more than 0.")
    return seconds


def _mix(path: Path, text: Any) -> tuple[float, float]:
    """Input and output tokens of "3:1". Raises UsageError."""
    try:
        into, out = (float(part) for part in str(text).split(":"))
    except ValueError:
        into = out = -1.0
    if not (0 <= into < math.inf and 0 <= out < math.inf and into + out > 0):
        raise UsageError(f"{path}: own_mix = {text!r} is not understood; write input:output, like 3:1.")
    return into, out
