"""How an engine is asked to serve: every technique by name, as the command line has it, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server.kv import BLOCK

if TYPE_CHECKING:
    from loadlab.server.linear import Quant
    from loadlab.server.placement import Precision
    from loadlab.server.switches import Batching, Speculation

_CHOICES = {
    "dtype": ("auto", "fp32", "bf16"),
    "quant": ("none", "int8", "int4"),
    "batching": ("continuous", "static"),
    "speculate": ("off", "ngram", "draft"),
}
_LEAST = {"block_size": 1, "num_blocks": 0, "speculate_tokens": 1, "speculate_max_seqs": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Techniques:
    """Each technique as it is set; `num_blocks` 0 is what the memory holds."""

    dtype: Precision = "auto"
    quant: Quant = "none"
    block_size: int = BLOCK
    num_blocks: int = 0
    prefix_cache: bool = True
    batching: Batching = "continuous"
    speculate: Speculation = "off"
    speculate_tokens: int = 4
    speculate_max_seqs: int = 4
    draft_model: str | None = None
    cuda_graphs: bool = True
    compile: bool = False

    def check(self) -> None:
        """Raises UsageError for what no engine has."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise UnknownNameError(flag(name), value, choices)
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) < least:
                raise UsageError(f"--{flag(name)} {value} must be at least {least}.")
        if self.speculate == "draft" and not self.draft_model:
            raise UsageError("--speculate draft needs a model that guesses; name one with --draft-model.")

    def changed(self) -> list[str]:
        """The flags of what is not as usual."""
        return [flag(field.name) for field in fields(self) if getattr(self, field.name) != field.default]


def flag(name: str) -> str:
    """The command line's name of a field."""
    return name.replace("_", "-")
