"""`loadlab export`: the page over a real socket; OTLP to a collector that decodes what it gets."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dashboard_data as made
import numpy as np
import pytest
from aiohttp import web
from app_thread import served

from loadlab import analysis
from loadlab import store as stores
from loadlab.exporters import otel
from tests.integration.conftest import LOADLAB, loadlab

RUN = "20261121-101500-otel"


@pytest.fixture
def db(tmp_path: Path) -> str:
    """The URL of a store with one run of two levels."""
    url = f"sqlite:///{tmp_path}/runs.db"
    with stores.open(url) as opened:
        made.fill(opened, made.sweep(RUN, users=(4, 16), failing=0.5))
    return url


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP/HTTP receiver on a real port; gives its URL and the bodies it was sent."""
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/x-protobuf"
        bodies.append(await request.read())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/v1/metrics", take)
    with served(app) as url:
        yield url, bodies


def decoded(body: bytes) -> dict[str, Any]:
    """Metrics of an OTLP request by name: unit and points."""
    service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    request = service.ExportMetricsServiceRequest.FromString(body)
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def attributes(point: Any) -> dict[str, Any]:
    return {
        each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
        for each in point.attributes
    }


def test_a_run_arrives_under_the_names_of_the_conventions(db: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel: pip install 'loadlab[otel]'")
    with collector() as (url, bodies):
        done = loadlab("export", "otel", RUN, "--endpoint", url, "--db", db, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = decoded(bodies[0])
    assert json.loads(done.stdout)["series"] == sum(
        len(metric.histogram.data_points) + len(metric.gauge.data_points) for metric in found.values()
    )
    with stores.open(db) as opened:
        requests, run = opened.requests(RUN), opened.run(RUN)
    ok = requests[requests["error_kind"].isna()]
    duration = found["gen_ai.client.operation.duration"]
    assert duration.unit == "s"
    points = duration.histogram.data_points
    good = [point for point in points if "error.type" not in attributes(point)]
    assert sum(point.count for point in good) == len(ok)
    assert sum(point.sum for point in good) == pytest.approx(((ok["done_ns"] - ok["sent_ns"]) / 1e9).sum())
    assert {attributes(point)["error.type"] for point in points if point not in good} == set(
        requests["error_kind"].dropna()
    )
    assert attributes(good[0]) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "127.0.0.1",
        "gen_ai.request.model": "smollm2-135m", "server.address": "127.0.0.1", "server.port": 8000,
        "loadlab.run.id": RUN, "loadlab.level": 0,
    }  # fmt: skip
    assert run.started_at_ns < good[0].start_time_unix_nano < good[0].time_unix_nano
    tokens = found["gen_ai.client.token.usage"].histogram.data_points
    output = [point for point in tokens if attributes(point)["gen_ai.token.type"] == "output"]
    assert sum(point.sum for point in output) == ok["output_tokens"].sum()
    assert found["gen_ai.client.operation.time_per_output_chunk"].histogram.data_points[0].count > 1000
    assert found["loadlab.output_tokens_per_s"].gauge.data_points[0].as_double > 0
    assert not any(name.startswith("gen_ai.server") for name in found)


def test_a_collector_that_refuses_or_is_not_there_is_a_sentence(db: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel: pip install 'loadlab[otel]'")
    with collector(status=400) as (url, _):
        refused = loadlab("export", "otel", "--endpoint", url, "--db", db, cwd=tmp_path)
    assert refused.returncode == 3
    assert "did not take the metrics" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("values", "counts"),
    [([0.005, 0.01, 0.011, 90.0], [2, 1, *[0] * 12, 1]), ([0.02] * 3, [0, 3, *[0] * 13])],
)
def test_a_value_on_a_bound_belongs_below_it(values: list[float], counts: list[int]) -> None:

    assert otel.buckets(np.array(values), otel.SECONDS) == counts


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://me.openai.azure.com/openai", "azure.ai.openai"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("https://notopenai.com/v1", "notopenai.com"),
        ("http://gpu-box:8000/v1", "gpu-box"),
    ],
)
def test_the_provider_is_told_by_the_host(db: str, url: str, provider: str) -> None:

    with stores.open(db) as opened:
        summary = analysis.summary_of(opened, RUN)
    endpoint = replace(summary.spec.endpoint, url=url)
    found = otel.attributes_of(replace(summary, spec=replace(summary.spec, endpoint=endpoint)))
    assert found["gen_ai.provider.name"] == provider
    assert found["server.port"] == (8000 if "gpu-box" in url else 443)


def test_the_page_is_printed_and_served(db: str, tmp_path: Path) -> None:
    printed = loadlab("export", "prometheus", "--db", db, cwd=tmp_path)
    assert printed.returncode == 0
    assert f'loadlab_run_info{{model="smollm2-135m",run="{RUN}"' in printed.stdout
    command = [*LOADLAB, "export", "prometheus", "--listen", "127.0.0.1:0", "--json", "--db", db]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = ""
        for line in process.stdout:
            ready += line
            if line.startswith("}"):
                break
        try:
            with urllib.request.urlopen(json.loads(ready)["url"]) as response:
                assert response.read().decode() == printed.stdout
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_the_page_is_not_open_to_a_network_and_an_empty_store_has_none(db: str, tmp_path: Path) -> None:
    done = loadlab("export", "prometheus", "--listen", "0.0.0.0:9402", "--db", db, cwd=tmp_path)
    assert done.returncode == 2
    assert "no loopback address" in done.stderr
    with stores.open(f"sqlite:///{tmp_path}/empty.db"):
        pass
    empty = loadlab("export", "prometheus", "--db", f"sqlite:///{tmp_path}/empty.db", cwd=tmp_path)
    assert empty.returncode == 5
