"""From what a user asked for to a Run: scenario found, levels laid out, contradictions refused."""

from __future__ import annotations

import os
import platform
import random
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loadlab import __version__
from loadlab.core.clock import anchor
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.finder import beside
from loadlab.core.nouns import Arrivals, Endpoint, Level, Run

DEFAULT_DURATION_S = 30.0
ARRIVALS = ("poisson", "constant")
_POSITIVE = (
    "max_tokens", "prompt_tokens", "processes", "timeout_s", "connect_timeout_s", "first_byte_timeout_s",
    "stall_timeout_s",
)  # fmt: skip
_VERSIONED = ("locust", "gevent", "httptools", "aiohttp", "sqlalchemy", "numpy", "pandas")


def find_scenario(name: str) -> Path:
    """The file of a scenario: a path, one in ./scenarios, or a bundled one. Raises UnknownNameError."""
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(
                f"scenario file '{name}' does not exist; `loadlab run chat` runs the bundled one."
            )
        return path.resolve()
    known = {path.stem: path for folder in _scenario_folders() for path in sorted(folder.glob("[!_]*.py"))}
    if name not in known:
        raise UnknownNameError("scenario", name, known)
    return known[name].resolve()


def _scenario_folders() -> Iterable[Path]:
    """Later folders win: the user's own scenario of a name comes before the bundled one."""
    return (*(Path(place) for place in beside("scenarios").__path__), Path("scenarios"))


def levels(
    users: Sequence[int] | None,
    rates: Sequence[float] | None,
    arrivals: str | None,
    requests: int | None,
    duration_s: float | None,
    warmup_s: float,
) -> tuple[Level, ...]:
    """One level for each entry of `users` or of `rates`. Raises UsageError for what makes no sense."""
    if users and rates:
        raise UsageError("--users and --rate exclude each other: users is a closed loop, rate an open one.")
    if arrivals and not rates:
        raise UsageError("--arrivals shapes an open loop; give --rate too, or drop it.")
    if arrivals and arrivals not in ARRIVALS:
        raise UnknownNameError("arrival process", arrivals, ARRIVALS)
    for name, values in (("users", users), ("rate", rates)):
        if bad := [value for value in values or () if value <= 0]:
            raise UsageError(f"--{name} {bad[0]:g} is no load; it must be more than 0.")
    _positive("requests", requests)
    _positive("duration", duration_s)
    if duration_s is None and requests is None:
        duration_s = DEFAULT_DURATION_S
    if duration_s is not None and warmup_s >= duration_s:
        raise UsageError(f"--warmup {warmup_s:g}s leaves nothing of --duration {duration_s:g}s to measure.")
    common: dict[str, Any] = {"requests": requests, "duration_s": duration_s, "warmup_s": warmup_s}
    if rates:
        process: Arrivals = "constant" if arrivals == "constant" else "poisson"
        return tuple(Level(index, rate=rate, arrivals=process, **common) for index, rate in enumerate(rates))
    return tuple(Level(index, users=count, **common) for index, count in enumerate(users or [1]))


def _positive(name: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise UsageError(f"--{name} {value:g} asks for nothing; it must be more than 0.")


def build(path: Path, endpoint: Endpoint, steps: tuple[Level, ...], *, seed: int | None, **asked: Any) -> Run:
    """The run as it will be stored; `asked` are further fields of Run. Raises UsageError.

    Without a seed one is drawn, and stored, so that the run can be repeated.
    """
    for name in _POSITIVE:
        _positive(name.removesuffix("_s").replace("_", "-"), asked.get(name))
    clock_ns, started_at_ns = anchor()
    return Run(
        id=time.strftime("%Y%m%d-%H%M%S-", time.gmtime(started_at_ns // 10**9)) + secrets.token_hex(2),
        scenario=path.stem,
        scenario_path=str(path),
        endpoint=endpoint,
        levels=steps,
        seed=random.SystemRandom().randrange(1 << 31) if seed is None else seed,
        clock_ns=clock_ns,
        started_at_ns=started_at_ns,
        environment=environment(),
        **asked,
    )


def environment() -> dict[str, Any]:
    """What this generator is: host, Python, versions. No secrets, no user names."""
    return {
        "loadlab": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in _VERSIONED},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
