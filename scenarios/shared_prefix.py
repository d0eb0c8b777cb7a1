"""What does a system prompt cost that every request begins with?

800 tokens of rules are the same in every request, 30 tokens of question are not. A prefix cache computes the
rules once.

    loadlab run shared_prefix --url http://127.0.0.1:8000/v1 --users 4 --duration 30s
    locust -f scenarios/shared_prefix.py --host http://127.0.0.1:8000/v1 --model NAME --headless -t 30s
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import SharedPrefix


class Assistant(StreamUser):
    """One user of an assistant with long instructions."""

    workload = SharedPrefix()
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and read the answer to its end."""
        self.send(self.next_request())
