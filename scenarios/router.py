"""Is it worth sending short questions to a small model and long ones to a large one?

A rule routes each request before it is sent: questions of LONG bytes and more go to the route "large", all
others to the target. The summary says what each got and what the mix cost; compare `loadlab cost mix`.

    loadlab run router --target small --route large=large --users 4 --requests 200

To try another rule, copy this file and change `is_hard`.
"""

from __future__ import annotations

from locust import constant, task

from loadlab.core.nouns import Request
from loadlab.drive import StreamUser
from loadlab.workloads import Prompts

LONG = 200


def is_hard(request: Request) -> bool:
    """Whether the large model is to answer: by length here, by whatever you like in your copy."""
    return sum(len(message.content.encode()) for message in request.messages) >= LONG


class Visitor(StreamUser):
    """One person behind a router."""

    workload = Prompts("everyday", max_tokens=100)
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask where the rule says, and read the answer to its end."""
        request = self.next_request()
        self.send(request, to="large" if is_hard(request) else None)
