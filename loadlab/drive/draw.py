"""The requests of a scenario, drawn in a process of its own: loading a scenario imports locust.

    python -m loadlab.drive.draw '{"count": 100, "scenario_path": …, "seed": 1, …}'

prints a JSON line for each of the first requests of the scenario's first user.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Message, Request, Run

if TYPE_CHECKING:
    from loadlab.workloads import Workload

_PATIENCE_S = 60.0


def asked_of(run: Run) -> dict[str, Any]:
    """What decides the requests of a run."""
    return {
        "scenario_path": run.scenario_path,
        "seed": run.seed,
        "max_tokens": run.max_tokens,
        "prompt_tokens": run.prompt_tokens,
        "workload": dict(run.workload),
        "traces": [level.trace for level in run.levels if level.trace],
    }


def drawn(run: Run, count: int) -> list[Request]:
    """The first `count` requests of a run, as the command line changes them. Raises UsageError."""
    lines = told("loadlab.drive.draw", {**asked_of(run), "count": count}).splitlines()
    requests = (Request(**_whole(json.loads(line))) for line in lines)
    return [_changed(request, run) for request in requests]


def told(module: str, asked: Mapping[str, Any]) -> str:
    """What that process says of a scenario. Raises UsageError when it cannot be loaded."""
    path = asked["scenario_path"]
    command = [sys.executable, "-m", module, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"scenario '{path}' did not load in {_PATIENCE_S:g} s.") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise UsageError(f"the requests of scenario '{path}' cannot be drawn: {last[0]}")
    return done.stdout


def workloads(asked: Mapping[str, Any]) -> list[Workload]:
    """What the run would draw from: synthetic prompts, a trace, or the workloads of the scenario's users."""
    from locust.util.load_locustfile import load_locustfile

    from loadlab.drive.user import StreamUser
    from loadlab.workloads import Replay, Synthetic
    from loadlab.workloads import asked as from_fields

    users, _ = load_locustfile(asked["scenario_path"])
    if asked["workload"]:
        return [from_fields(asked["workload"])]
    if asked["prompt_tokens"]:
        return [Synthetic(asked["prompt_tokens"])]
    if asked["traces"]:
        return [Replay(trace) for trace in asked["traces"]]
    return [user.workload for user in users.values() if issubclass(user, StreamUser)]


def _whole(document: dict[str, Any]) -> dict[str, Any]:
    messages = tuple(Message(**message) for message in document["messages"])
    return {**document, "messages": messages, "inputs": tuple(document["inputs"])}


def _changed(request: Request, run: Run) -> Request:
    """In one piece, and with what the command line overrides."""
    most = run.max_tokens or request.max_tokens
    return replace(request, stream=False, max_tokens=most, ignore_eos=request.ignore_eos or run.exact_length)


def main() -> None:
    """Entry point of the process."""
    asked = json.loads(sys.argv[1])
    first, *_ = workloads(asked)
    for request in islice(first.requests(asked["seed"]), asked["count"]):
        if request.audio is not None:
            sys.exit("a batch takes no audio")
        sys.stdout.write(json.dumps(asdict(request)) + "\n")


if __name__ == "__main__":
    main()
