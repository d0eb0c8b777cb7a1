"""The same load as users write it with Locust's own clients: CLIENT is fasthttp or requests.

CLIENT=… ROUNDS=… TOKENS=… OUT=… locust -f peer_locust.py --headless -u STREAMS -r STREAMS --host URL
"""

import json
import os
import time
from collections.abc import Iterable
from typing import Any

from locust import FastHttpUser, HttpUser, events, task
from locust.exception import StopUser

ROUNDS, TOKENS = int(os.environ["ROUNDS"]), int(os.environ["TOKENS"])
BODY = {
    "model": "sim",
    "stream": True,
    "max_tokens": TOKENS,
    "messages": [{"role": "user", "content": "hello world " * 20}],
}
ttft_ms: list[float] = []
itl_ms: list[float] = []


def clock(start: float, lines: Iterable[str]) -> None:
    first, last = True, start
    for line in lines:
        if not line.startswith("data: {"):
            continue
        choices = json.loads(line[6:])["choices"]
        if choices and choices[0]["delta"].get("content"):
            now = time.perf_counter()
            (ttft_ms if first else itl_ms).append((now - (start if first else last)) * 1e3)
            first, last = False, now


class Counted:
    """Stops a user after its rounds, and the process after its last user."""

    left = ROUNDS
    users = 0

    def count(self, environment: Any) -> None:
        self.left -= 1
        if self.left:
            return
        Counted.users += 1
        if Counted.users == environment.runner.target_user_count:
            environment.runner.quit()
        raise StopUser


if os.environ["CLIENT"] == "requests":

    class User(Counted, HttpUser):  # type: ignore[misc]
        @task
        def ask(self) -> None:
            start = time.perf_counter()
            response = self.client.post("/chat/completions", json=BODY, stream=True)
            clock(start, response.iter_lines(decode_unicode=True))
            self.count(self.environment)

else:

    class User(Counted, FastHttpUser):  # type: ignore[misc, no-redef]
        @task
        def ask(self) -> None:
            start = time.perf_counter()
            clock(start, self.client.iter_lines("/chat/completions", method="POST", json=BODY))
            self.count(self.environment)


@events.quitting.add_listener
def done(**_: Any) -> None:
    with open(os.environ["OUT"], "w") as file:
        json.dump({"ttft_ms": ttft_ms, "itl_ms": itl_ms, "cpu_s": time.process_time()}, file)
