"""Files and batches: JSONL in, JSONL out, and every way a batch can end."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
from server_process import counters, post, serving, talk

CHAT = "/v1/chat/completions"
SIM = ("--engine", "sim", "--ttft", "2ms", "--itl", "1ms")


def line(number: int, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {number}"}]
    body = {"messages": messages, "max_tokens": 3, **body}
    return {"custom_id": f"q{number}", "method": "POST", "url": CHAT, "body": body}


async def upload(client: aiohttp.ClientSession, lines: list[Any], purpose: str = "batch") -> tuple[int, Any]:
    form = aiohttp.FormData()
    form.add_field("purpose", purpose)
    form.add_field("file", io.BytesIO("\n".join(map(json.dumps, lines)).encode()), filename="in.jsonl")
    async with client.post("/v1/files", data=form) as response:
        return response.status, await response.json()


async def begin(client: aiohttp.ClientSession, lines: list[Any], endpoint: str = CHAT) -> dict[str, Any]:
    _, file = await upload(client, lines)
    body = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"}
    status, batch = await post(client, "/v1/batches", body)
    assert status == 200, batch
    return dict(batch)


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        return response.status, await response.json()


async def ended(client: aiohttp.ClientSession, batch_id: str) -> dict[str, Any]:
    while True:
        _, batch = await get(client, f"/v1/batches/{batch_id}")
        if batch["status"] in ("completed", "failed", "cancelled", "expired"):
            return dict(batch)
        await asyncio.sleep(0.02)


async def content(client: aiohttp.ClientSession, file_id: str) -> list[dict[str, Any]]:
    async with client.get(f"/v1/files/{file_id}/content") as response:
        assert response.status == 200
        return [json.loads(row) for row in (await response.text()).splitlines()]


def test_a_batch_is_answered_and_its_bad_lines_are_apart() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        batch = await begin(client, [line(i) for i in range(40)] + [line(40, max_tokens=0)])
        assert (batch["status"], batch["object"]) == ("validating", "batch")
        batch = await ended(client, batch["id"])
        assert batch["status"] == "completed"
        assert batch["request_counts"] == {"total": 41, "completed": 40, "failed": 1}
        rows = await content(client, batch["output_file_id"])
        assert {row["custom_id"] for row in rows} == {f"q{i}" for i in range(40)}
        for row in rows:
            assert row["response"]["status_code"] == 200
            assert row["response"]["body"]["usage"]["completion_tokens"] == 3
        (bad,) = await content(client, batch["error_file_id"])
        assert (bad["custom_id"], bad["response"]["status_code"]) == ("q40", 400)
        assert bad["response"]["body"]["error"]["param"] == "max_tokens"
        found = await counters(client)
        assert found["generation_tokens_total"] == 120
        assert found["time_to_first_token_seconds_count"] == 0  # nobody waited for these
        _, listed = await get(client, "/v1/batches")
        assert [entry["id"] for entry in listed["data"]] == [batch["id"]]

    with serving(*SIM) as server:
        talk(server, story)


def test_embeddings_in_a_batch() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        rows = [{"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"input": "a"}}]
        batch = await ended(client, (await begin(client, rows, "/v1/embeddings"))["id"])
        (row,) = await content(client, batch["output_file_id"])
        assert len(row["response"]["body"]["data"][0]["embedding"]) == 384

    with serving(*SIM) as server:
        talk(server, story)


def test_wrong_lines_fail_the_batch_with_their_numbers() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        wrong = [line(0), line(0), {**line(1), "url": "/v1/other"}, {"custom_id": "x"}, "text"]
        batch = await ended(client, (await begin(client, wrong))["id"])
        assert batch["status"] == "failed"
        assert [error["line"] for error in batch["errors"]["data"]] == [2, 3, 4, 5]
        empty = await ended(client, (await begin(client, []))["id"])
        assert "no requests" in empty["errors"]["data"][0]["message"]

    with serving(*SIM) as server:
        talk(server, story)


def test_a_cancelled_batch_keeps_what_it_has() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        lines = [line(i, max_tokens=1 if i < 32 else 100_000) for i in range(64)]
        batch = await begin(client, lines)
        while (await get(client, f"/v1/batches/{batch['id']}"))[1]["request_counts"]["completed"] < 32:
            await asyncio.sleep(0.02)
        status, page = await post(client, f"/v1/batches/{batch['id']}/cancel", b"")
        assert (status, page["status"]) == (200, "cancelling")
        batch = await ended(client, batch["id"])
        assert (batch["status"], len(await content(client, batch["output_file_id"]))) == ("cancelled", 32)
        assert (await counters(client))["num_requests_running"] == 0
        status, refusal = await post(client, f"/v1/batches/{batch['id']}/cancel", b"")
        assert (status, "cancelled" in refusal["error"]["message"]) == (400, True)

    with serving(*SIM) as server:
        talk(server, story)


def test_files_are_listed_read_and_deleted() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        status, file = await upload(client, [line(1)])
        assert (status, file["filename"], file["purpose"]) == (200, "in.jsonl", "batch")
        assert file["bytes"] == len(json.dumps(line(1)))
        assert (await get(client, f"/v1/files/{file['id']}")) == (200, file)
        assert (await get(client, "/v1/files"))[1]["data"] == [file]
        assert await content(client, file["id"]) == [line(1)]
        async with client.delete(f"/v1/files/{file['id']}") as response:
            assert (await response.json())["deleted"] is True
        assert (await get(client, f"/v1/files/{file['id']}"))[0] == 404

    with serving(*SIM) as server:
        talk(server, story)


def test_a_file_may_be_larger_than_a_body() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        padded = line(1, user="x" * (9 << 20))
        status, file = await upload(client, [padded])
        assert (status, file["bytes"]) == (200, len(json.dumps(padded)))

    with serving(*SIM) as server:
        talk(server, story)


def test_what_cannot_be_a_file_or_a_batch_is_refused() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        _, file = await upload(client, [line(1)])
        assert (await upload(client, [line(1)], purpose="fine-tune"))[0] == 400
        assert (await post(client, "/v1/files", {"purpose": "batch"}))[0] == 400
        for path in ("/v1/files/file-1", "/v1/files/..%2F..%2Fetc%2Fpasswd", "/v1/batches/batch_1"):
            assert (await get(client, path))[0] == 404
        good = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
        for change, status in (
            ({"input_file_id": "file-000000000000000000000000"}, 404),
            ({"input_file_id": None}, 400),
            ({"endpoint": "/v1/models"}, 400),
            ({"completion_window": "1h"}, 400),
        ):
            assert (await post(client, "/v1/batches", good | change))[0] == status

    with serving(*SIM) as server:
        talk(server, story)


def test_a_batch_its_server_did_not_finish_is_failed_at_the_next_start(tmp_path: Path) -> None:
    async def first(client: aiohttp.ClientSession) -> str:
        batch = await begin(client, [line(1, max_tokens=100_000)])
        while (await get(client, f"/v1/batches/{batch['id']}"))[1]["status"] != "in_progress":
            await asyncio.sleep(0.02)
        return str(batch["id"])

    async def second(client: aiohttp.ClientSession) -> None:
        _, batch = await get(client, f"/v1/batches/{batch_id}")
        assert batch["status"] == "failed"
        assert batch["errors"]["data"][0]["code"] == "server_stopped"

    with serving(*SIM, "--files", str(tmp_path)) as server:
        batch_id = talk(server, first)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)
    with serving(*SIM, "--files", str(tmp_path)) as server:
        talk(server, second)


def test_message_batches_have_anthropics_shape() -> None:
    async def check(client: aiohttp.ClientSession) -> None:
        params = {"max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]}
        asked = [{"custom_id": f"q{n}", "params": params} for n in range(5)]
        asked.append({"custom_id": "bad", "params": {"messages": params["messages"]}})
        place = "/v1/messages/batches"
        status, page = await post(client, place, {"requests": asked})
        assert (status, page["type"], page["id"][:9]) == (200, "message_batch", "msgbatch_")
        assert page["request_counts"]["processing"] == 6
        while page["processing_status"] != "ended":
            await asyncio.sleep(0.02)
            _, page = await get(client, f"{place}/{page['id']}")
        assert page["request_counts"] == {
            "processing": 0, "succeeded": 5, "errored": 1, "canceled": 0, "expired": 0,
        }  # fmt: skip
        async with client.get(page["results_url"]) as response:
            lines = [json.loads(line) for line in (await response.text()).splitlines()]
        rows = {line["custom_id"]: line["result"] for line in lines}
        assert rows["q3"]["message"]["usage"]["output_tokens"] == 3
        assert rows["bad"]["error"]["error"]["type"] == "invalid_request_error"
        assert [entry["id"] for entry in (await get(client, place))[1]["data"]] == [page["id"]]
        assert (await get(client, "/v1/batches"))[1]["data"] == []
        for wrong in ({}, {"requests": []}, {"requests": [{"custom_id": "ä", "params": params}]},
                      {"requests": [asked[0], asked[0]]}):  # fmt: skip
            status, refusal = await post(client, place, wrong)
            assert (status, refusal["error"]["type"]) == (400, "invalid_request_error")

    with serving(*SIM) as server:
        talk(server, check)


def test_a_cancelled_message_batch_tells_of_every_request() -> None:
    async def check(client: aiohttp.ClientSession) -> None:
        params = {"max_tokens": 400, "messages": [{"role": "user", "content": "hi"}], "ignore_eos": True}
        asked = [{"custom_id": f"q{n}", "params": params} for n in range(200)]
        _, page = await post(client, "/v1/messages/batches", {"requests": asked})
        status, _ = await get(client, f"/v1/messages/batches/{page['id']}/results")
        assert status == 400
        await post(client, f"/v1/messages/batches/{page['id']}/cancel", b"")
        while page["processing_status"] != "ended":
            await asyncio.sleep(0.02)
            _, page = await get(client, f"/v1/messages/batches/{page['id']}")
        async with client.get(page["results_url"]) as response:
            kinds = [json.loads(line)["result"]["type"] for line in (await response.text()).splitlines()]
        assert len(kinds) == 200
        assert kinds.count("canceled") == page["request_counts"]["canceled"] > 0

    with serving(*SIM) as server:
        talk(server, check)
