"""What many streams at once cost in memory; a program, so that nothing else is in its process.

`python streams.py URL STREAMS` prints resident bytes per stream when all have ended and are still kept.
"""

from __future__ import annotations

import sys

import gevent
import psutil

from loadlab import dialects
from loadlab.core.nouns import Endpoint, Exchange, Request, Timeouts
from loadlab.wire.client import Client


def main(url: str, streams: int) -> None:
    """Runs one stream to warm up, then all of them at once."""
    client, process = Client(), psutil.Process()
    call = dialects.get("openai-chat").encode(
        Endpoint(url, "sim"), Request(prompt="Hi there", max_tokens=100, ignore_eos=True)
    )

    def ask() -> Exchange:
        return client.send(call, Exchange(0, 0, 0, 0), Timeouts())

    ask()
    before = process.memory_info().rss
    greenlets = [gevent.spawn(ask) for _ in range(streams)]
    gevent.joinall(greenlets, raise_error=True)
    exchanges = [greenlet.value for greenlet in greenlets]
    broken = [exchange for exchange in exchanges if exchange.error_kind or len(exchange.reads) < 50]
    assert not broken, broken[:1]
    print((process.memory_info().rss - before) // streams)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
