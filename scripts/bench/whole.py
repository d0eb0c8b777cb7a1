"""Whole answers, no streaming: requests per CPU second. `whole.py loadlab|fasthttp URL REQUESTS`."""

import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust import FastHttpUser
from locust.env import Environment

from loadlab import dialects
from loadlab.core.nouns import Endpoint, Request, Timeouts
from loadlab.drive.driver import Driver
from loadlab.recorder.decode import decode

NAME, URL, REQUESTS, USERS = sys.argv[1], sys.argv[2], int(sys.argv[3]), 16
PROMPT = "hello world " * 20
BODY = {"model": "sim", "stream": False, "max_tokens": 20, "messages": [{"role": "user", "content": PROMPT}]}


def through_loadlab() -> Callable[[], object]:
    """Sent by the wire and decoded here as the recorder would: all of the work, not only the worker's."""
    endpoint = Endpoint(URL, "sim")
    driver = Driver(endpoint, lambda _: None, seed=1, timeouts=Timeouts())
    dialect = dialects.get(endpoint.dialect)
    request = Request(prompt=PROMPT, max_tokens=20, stream=False)
    return lambda: decode(driver.send(request, None), dialect)


def through_fasthttp() -> Callable[[], object]:
    """As a FastHttpUser's task does it."""

    class User(FastHttpUser):  # type: ignore[misc]
        host = URL

    def ask(user: Any = None) -> object:
        return user.client.post("/chat/completions", json=BODY).json()

    environment = Environment(user_classes=[User])
    users = [User(environment) for _ in range(USERS)]
    turn = iter(range(10**9))
    return lambda: ask(users[next(turn) % USERS])


def main() -> None:
    """Prints requests per CPU second."""
    ask = through_loadlab() if NAME == "loadlab" else through_fasthttp()

    def user(count: int) -> None:
        for _ in range(count):
            ask()

    user(50)
    started = time.process_time()
    gevent.joinall([gevent.spawn(user, REQUESTS // USERS) for _ in range(USERS)], raise_error=True)
    print(REQUESTS / (time.process_time() - started))


main()
