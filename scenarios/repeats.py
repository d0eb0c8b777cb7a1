"""What do questions cost that were asked before?

Eight questions, again and again. A response cache answers all but the first of each; its answers say nothing
about the model's speed.

    loadlab run repeats --url http://127.0.0.1:8000/v1 --users 4 --duration 30s
    locust -f scenarios/repeats.py --host http://127.0.0.1:8000/v1 --model NAME --headless -t 30s
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import Repeats


class Visitor(StreamUser):
    """One visitor with a frequent question."""

    workload = Repeats()
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and read the answer to its end."""
        self.send(self.next_request())
