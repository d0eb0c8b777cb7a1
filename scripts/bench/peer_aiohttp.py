"""The same load as users write it with aiohttp. Arguments: URL, streams, requests per stream, tokens."""

import asyncio
import json
import sys
import time

import aiohttp

URL, STREAMS, ROUNDS, TOKENS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
BODY = {
    "model": "sim",
    "stream": True,
    "max_tokens": TOKENS,
    "messages": [{"role": "user", "content": "hello world " * 20}],
}
ttft_ms: list[float] = []
itl_ms: list[float] = []


async def ask(session: aiohttp.ClientSession) -> None:
    start = last = time.perf_counter()
    first = True
    async with session.post(URL + "/chat/completions", json=BODY) as response:
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["delta"].get("content"):
                now = time.perf_counter()
                (ttft_ms if first else itl_ms).append((now - (start if first else last)) * 1e3)
                first, last = False, now


async def user(session: aiohttp.ClientSession) -> None:
    for _ in range(ROUNDS):
        await ask(session)


async def main() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(user(session) for _ in range(STREAMS)))
    print(json.dumps({"ttft_ms": ttft_ms, "itl_ms": itl_ms, "cpu_s": time.process_time()}))


asyncio.run(main())
