"""Commands to paste: how to measure what a plan lacks, asked as the measured runs were."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadlab.core.nouns import Endpoint
    from loadlab.planner.measured import Measured

_REQUESTS = 2000


def sweep_command(
    measured: Measured, loads: Sequence[float], requests: int | None = None, **changed: int
) -> str:
    """`loadlab sweep` of these loads with what else the runs were asked; `changed` replaces flags."""
    spec = measured.spec
    flags: dict[str, object] = {
        **_where(spec.endpoint),
        "rate" if measured.axis == "rate" else "users": ",".join(f"{load:g}" for load in loads),
        "requests": requests or _asked_requests(measured),
        "max-tokens": spec.max_tokens,
        "prompt-tokens": spec.prompt_tokens,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    words = ["loadlab", "sweep", spec.scenario]
    for name, value in flags.items():
        if value not in (None, ""):
            words += [f"--{name}", str(value)]
    return shlex.join([*words, *(["--exact-length"] if spec.exact_length else [])])


def _asked_requests(measured: Measured) -> int:
    """As many as the longest level had, and enough for a p99."""
    sent = [int(seen.level.requests["sent"]) for step in measured.steps for seen in step.seen]
    return max(_REQUESTS, *sent)


def _where(endpoint: Endpoint) -> dict[str, object]:
    """A target of loadlab.toml by its name, another by its address."""
    if endpoint.profile:
        return {"target": endpoint.name}
    dialect = None if endpoint.dialect in ("", "openai-chat") else endpoint.dialect
    return {
        "url": endpoint.url,
        "model": endpoint.model,
        "dialect": dialect,
        "api-key-env": endpoint.auth_env,
    }
