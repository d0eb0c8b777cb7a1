"""How fast does a model copy what it was given?

The answer is the text of the prompt, as in edits of code and quotes of documents: what n-gram speculation
lives from.

    loadlab run copying --url http://127.0.0.1:8000/v1 --users 1 --duration 30s
    locust -f scenarios/copying.py --host http://127.0.0.1:8000/v1 --model NAME --headless -t 30s
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import Copying


class Editor(StreamUser):
    """One editor whose text is given back."""

    workload = Copying()
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and read the answer to its end."""
        self.send(self.next_request())
