"""How long does a person in a chat window wait, and how fast does the answer run?

Everyday questions, one turn each, of 5 to 250 words. Every user reads the whole answer and asks the next
question at once: the hardest closed loop there is. With --rate, arrivals come on a schedule instead.

    loadlab run chat --url http://127.0.0.1:8000/v1 --users 8 --duration 30s
    locust -f scenarios/chat.py --host http://127.0.0.1:8000/v1 --model NAME --headless -u 8 -r 8 -t 30s

To make your own: copy this file, change the prompts, add tasks or a wait_time, and run it by its path.
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import Prompts


class Chat(StreamUser):
    """One person, one conversation window."""

    workload = Prompts("everyday", max_tokens=100)
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and read the answer to its end."""
        self.send(self.next_request())
