"""How large a scenario's requests are, asked in a process of its own: loading a scenario imports locust.

    python -m loadlab.drive.sizes '{"scenario_path": …, "seed": 1, "max_tokens": null, …}'

prints a JSON list of [prompt bytes, messages, max_tokens, audio bytes], one for each of the first requests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Request, Run

_FIRST = 200
_PATIENCE_S = 60.0

Size = tuple[int, int, int, int]


def sizes_of(run: Run) -> list[Size]:
    """The sizes of the first requests of a run. Raises UsageError when its scenario cannot be loaded."""
    asked = {
        "scenario_path": run.scenario_path,
        "seed": run.seed,
        "max_tokens": run.max_tokens,
        "prompt_tokens": run.prompt_tokens,
        "workload": dict(run.workload),
        "traces": [level.trace for level in run.levels if level.trace],
    }
    command = [sys.executable, "-m", "loadlab.drive.sizes", json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"scenario '{run.scenario_path}' did not load in {_PATIENCE_S:g} s.") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise UsageError(f"the requests of scenario '{run.scenario_path}' cannot be sized: {last[0]}")
    return [(size[0], size[1], size[2], size[3]) for size in json.loads(done.stdout)]


def size(request: Request, max_tokens: int | None) -> Size:
    """The size of one request, with the cap of the command line where it has one."""
    texts = [message.content for message in request.messages] or [request.prompt or "", *request.inputs]
    return (
        sum(len(text.encode()) for text in texts),
        len(texts),
        max_tokens or request.max_tokens,
        len(request.audio or b""),
    )


def _requests(asked: dict[str, Any]) -> Iterator[Request]:
    """What the run would draw from: synthetic prompts, a trace, or the workloads of the scenario's users."""
    from locust.util.load_locustfile import load_locustfile

    from loadlab.drive.user import StreamUser
    from loadlab.workloads import Replay, Synthetic, Workload
    from loadlab.workloads import asked as from_fields

    users, _ = load_locustfile(asked["scenario_path"])
    workloads: Iterable[Workload] = [user.workload for user in users.values() if issubclass(user, StreamUser)]
    if asked["workload"]:
        workloads = [from_fields(asked["workload"])]
    elif asked["prompt_tokens"]:
        workloads = [Synthetic(asked["prompt_tokens"])]
    elif asked["traces"]:
        workloads = [Replay(trace) for trace in asked["traces"]]
    for workload in workloads:
        yield from islice(workload.requests(asked["seed"]), _FIRST)


def main() -> None:
    """Entry point of the process."""
    asked = json.loads(sys.argv[1])
    json.dump([size(request, asked["max_tokens"]) for request in _requests(asked)], sys.stdout)


if __name__ == "__main__":
    main()
