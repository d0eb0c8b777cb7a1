"""What can be changed while an engine runs, and how a change is judged. Knows names and values, no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from loadlab.server.job import EngineError

Batching = Literal["continuous", "static"]
Speculation = Literal["off", "ngram", "draft"]
_CHOICES = {"batching": ("continuous", "static"), "speculate": ("off", "ngram", "draft")}


@dataclass(frozen=True, slots=True)
class Switches:
    """The techniques of scheduling, as they are set."""

    batching: Batching = "continuous"
    chunked_prefill: bool = True
    max_num_batched_tokens: int = 512
    max_num_seqs: int = 64
    prefix_cache: bool = True
    speculate: Speculation = "off"
    speculate_tokens: int = 4
    speculate_max_seqs: int = 4

    def changed(self, changes: Mapping[str, Any], fixed: Mapping[str, Any]) -> Switches:
        """These with `changes`; `fixed` are settings that need a restart. Raises EngineError 400."""
        for name, value in changes.items():
            if name in fixed:
                words = f"'{name}' is {fixed[name]!r} since the server started; restart it to change that."
                raise EngineError(words, 400)
            if name not in asdict(self):
                words = f"There is no setting '{name}'; these can be switched: {', '.join(asdict(self))}."
                raise EngineError(words, 400)
            _check(name, value, getattr(self, name))
        return replace(self, **changes)

    def document(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """These and the `fixed` ones, as `job.Engine.settings` describes them."""
        runtime = {
            field.name: {"value": getattr(self, field.name), "runtime": True} for field in fields(self)
        }
        return runtime | {name: {"value": value, "runtime": False} for name, value in fixed.items()}


def _check(name: str, value: Any, now: Any) -> None:
    if choices := _CHOICES.get(name):
        if value not in choices:
            raise EngineError(f"{name} must be one of {', '.join(choices)}, not {value!r}.", 400)
    elif type(value) is not type(now):
        kind = "true or false" if isinstance(now, bool) else "a whole number"
        raise EngineError(f"{name} must be {kind}, not {value!r}.", 400)
    elif not isinstance(value, bool) and value < 1:
        raise EngineError(f"{name} must be at least 1, not {value}.", 400)
