"""Does one long document make everybody's answer stutter?

One request in eight has 1,500 tokens of prompt, the others 30. Without chunked prefill all running answers
wait while the document is read: look at the tail of the inter-token latency.

    loadlab run long_among_short --url http://127.0.0.1:8000/v1 --users 8 --duration 30s
    locust -f scenarios/long_among_short.py --host http://127.0.0.1:8000/v1 --model NAME --headless -t 30s
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import LongAmongShort


class Reader(StreamUser):
    """One user, who sometimes sends a document."""

    workload = LongAmongShort()
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and read the answer to its end."""
        self.send(self.next_request())
