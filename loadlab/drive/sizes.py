"""How large a scenario's requests are, asked in a process of its own: loading a scenario imports locust.

    python -m loadlab.drive.sizes '{"scenario_path": …, "seed": 1, "max_tokens": null, …}'

prints a JSON list of [prompt bytes, messages, max_tokens, audio bytes], one for each of the first requests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from loadlab.core.nouns import Request, Run
from loadlab.drive.draw import asked_of, told, workloads

_FIRST = 200

Size = tuple[int, int, int, int]


def sizes_of(run: Run) -> list[Size]:
    """The sizes of the first requests of a run. Raises UsageError when its scenario cannot be loaded."""
    found = json.loads(told("loadlab.drive.sizes", asked_of(run)))
    return [(size[0], size[1], size[2], size[3]) for size in found]


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
    for workload in workloads(asked):
        yield from islice(workload.requests(asked["seed"]), _FIRST)


def main() -> None:
    """Entry point of the process."""
    asked = json.loads(sys.argv[1])
    json.dump([size(request, asked["max_tokens"]) for request in _requests(asked)], sys.stdout)


if __name__ == "__main__":
    main()
