"""From what a user asked for to a Run: scenario found, levels laid out, contradictions refused."""

from __future__ import annotations

import hashlib
import os
import platform
import random
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loadlab import __version__, shapes
from loadlab.core.clock import anchor
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.finder import beside
from loadlab.core.loads import MOST
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.core.trace import read as read_trace

DEFAULT_DURATION_S = 30.0
ARRIVALS = ("poisson", "constant", "gamma")
_CLOSED, _OPEN = ("users", "shape"), ("rate", "profile", "trace")
_GOES_WITH = {
    "arrivals": ("rate", "profile"),
    "cv": ("rate", "profile"),
    "speed": ("trace",),
    "max_in_flight": _OPEN,
    "spread_s": ("users",),
    "think_s": _CLOSED,
}
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
    *,
    users: Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    profile: str | None = None,
    trace: str | None = None,
    shape: bool = False,
    repeats: int = 1,
    **flags: Any,
) -> tuple[Level, ...]:
    """The levels of a run: one for each entry of `users` or `rates`, one for a profile, a trace or a shape.

    With `repeats` all of them again and again, in rounds: what drifts meets every load alike. `flags` are
    further fields of Level. Raises UsageError for what makes no sense.
    """
    once = _once(users, rates, profile, trace, shape, flags)
    if repeats == 1:
        return once
    if len(once) * repeats > MOST:
        raise UsageError(
            f"--repeat {repeats} makes {len(once) * repeats:,} levels; at most {MOST} are a sweep."
        )
    rounds = [(at, level) for at in range(repeats) for level in once]
    return tuple(replace(level, index=index, repeat=at) for index, (at, level) in enumerate(rounds))


def _once(
    users: Sequence[int] | None,
    rates: Sequence[float] | None,
    profile: str | None,
    trace: str | None,
    shape: bool,
    flags: dict[str, Any],
) -> tuple[Level, ...]:
    kinds = {"users": users, "rate": rates, "profile": profile, "trace": trace, "shape": shape}
    given = [name for name, value in kinds.items() if value]
    if len(given) > 1:
        raise UsageError(
            f"--{given[0]} and --{given[1]} exclude each other: each says how much load there is."
        )
    kind = given[0] if given else "users"
    flags = {name: value for name, value in flags.items() if value is not None}
    _check(kind, users or (), rates or (), flags)
    match kind:
        case "rate":
            return tuple(Level(index, rate=rate, **_open(flags)) for index, rate in enumerate(rates or ()))
        case "profile":
            return (_profiled(str(profile), flags),)
        case "trace":
            return (_traced(str(trace), flags),)
        case "shape":
            return (Level(0, arrivals="shape", **flags),)
        case _:
            flags = _ended(flags)
            return tuple(Level(index, users=count, **flags) for index, count in enumerate(users or [1]))


def _ended(flags: dict[str, Any]) -> dict[str, Any]:
    """With an end: half a minute, unless a count or a duration was given."""
    ends = "requests" in flags or "duration_s" in flags
    return flags if ends else {**flags, "duration_s": DEFAULT_DURATION_S}


def _open(flags: dict[str, Any]) -> dict[str, Any]:
    return {"arrivals": "poisson", **_ended(flags)}


def _profiled(profile: str, flags: dict[str, Any]) -> Level:
    points = shapes.parse_profile(profile)
    length_s = points[-1].at_s
    flags = {"arrivals": "poisson", "duration_s": length_s, **flags}
    return Level(0, rate=shapes.requests_in(points) / length_s, profile=profile, **flags)


def _traced(path: str, flags: dict[str, Any]) -> Level:
    rows = read_trace(path)
    length_s = rows[-1].at_s / flags.get("speed", 1.0)
    rate = len(rows) / length_s if length_s else float(len(rows))
    return Level(0, rate=rate, arrivals="trace", trace=str(Path(path).resolve()), **flags)


def _check(kind: str, users: Sequence[int], rates: Sequence[float], flags: dict[str, Any]) -> None:
    """Refuses flags that are out of range or do not go with the kind of load."""
    for name, values in (("users", users), ("rate", rates)):
        if bad := [value for value in values if value <= 0]:
            raise UsageError(f"--{name} {bad[0]:g} is no load; it must be more than 0.")
    for name in ("requests", "duration_s", "cv", "speed", "max_in_flight", "spread_s"):
        _positive(name, flags.get(name))
    for name, kinds in _GOES_WITH.items():
        if name in flags and kind not in kinds:
            raise UsageError(
                f"--{_flag(name)} does not go with --{kind}; it goes with --{' or --'.join(kinds)}."
            )
    if flags.get("arrivals", "poisson") not in ARRIVALS:
        raise UnknownNameError("arrival process", flags["arrivals"], ARRIVALS)
    if (flags.get("arrivals") == "gamma") != ("cv" in flags):
        raise UsageError("--arrivals gamma and --cv go together: --cv 2 makes gaps burstier than Poisson's.")
    warmup_s, duration_s = flags.get("warmup_s", 0.0), flags.get("duration_s")
    if duration_s is not None and warmup_s >= duration_s:
        raise UsageError(f"--warmup {warmup_s:g}s leaves nothing of --duration {duration_s:g}s to measure.")


def _positive(name: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise UsageError(f"--{_flag(name)} {value:g} asks for nothing; it must be more than 0.")


def _flag(name: str) -> str:
    return name.removesuffix("_s").replace("_", "-")


def build(
    path: Path,
    endpoint: Endpoint,
    steps: tuple[Level, ...],
    *,
    seed: int | None,
    commit: str | None = None,
    **asked: Any,
) -> Run:
    """The run as it will be stored; `asked` are further fields of Run. Raises UsageError.

    Without a seed one is drawn, and stored, so that the run can be repeated. `commit` is that of what is
    served; without it, the CI host's variables may know it.
    """
    for name in _POSITIVE:
        _positive(name, asked.get(name))
    for level in steps:
        cap, processes = level.max_in_flight, asked.get("processes", 1)
        if cap is not None and cap < processes:
            raise UsageError(f"--max-in-flight {cap} leaves some of --processes {processes} with none.")
    clock_ns, started_at_ns = anchor()
    return Run(
        id=run_id(started_at_ns),
        scenario=path.stem,
        scenario_path=str(path),
        endpoint=endpoint,
        levels=steps,
        seed=drawn() if seed is None else seed,
        clock_ns=clock_ns,
        started_at_ns=started_at_ns,
        environment={**environment(), **_source(commit), **scenario_of(path)},
        **asked,
    )


def again(run: Run) -> Run:
    """The same asked once more, now and from here, with another seed."""
    clock_ns, started_at_ns = anchor()
    kept = {key: run.environment[key] for key in ("commit", "branch") if key in run.environment}
    return replace(
        run,
        id=run_id(started_at_ns),
        seed=drawn(),
        clock_ns=clock_ns,
        started_at_ns=started_at_ns,
        environment={**environment(), **kept, **scenario_of(Path(run.scenario_path))},
    )


def run_id(started_at_ns: int) -> str:
    """A name for a run: its time to the second (UTC), and something to tell two of a second apart."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(started_at_ns // 10**9)) + secrets.token_hex(2)


def drawn() -> int:
    """A seed nobody chose."""
    return random.SystemRandom().randrange(1 << 31)


def _source(commit: str | None) -> dict[str, str]:
    """Of what is served, the commit and the branch, as far as somebody says so."""
    said = {
        "commit": commit or _first_set("LOADLAB_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"),
        "branch": _first_set("LOADLAB_BRANCH", "GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME"),
    }
    return {name: value[:100] for name, value in said.items() if value}


def _first_set(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def scenario_of(path: Path) -> dict[str, str]:
    """The first digits of the file's hash, enough to see a change; nothing of a file that is not there."""
    try:
        return {"scenario_sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:12]}
    except OSError:
        return {}


def environment() -> dict[str, Any]:
    """What this generator is: host, Python, versions. No secrets, no user names."""
    return {
        "loadlab": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in _VERSIONED},
    }


def _cpu() -> str:
    """The processor's name where the system tells it: machines of one kernel may differ in nothing else."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
