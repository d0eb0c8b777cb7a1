"""`loadlab export`: stored runs for other systems."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.gpu import loopback
from loadlab.cli.output import emit_json, say
from loadlab.core.config import store_url
from loadlab.core.errors import NoDataError, UsageError

app = typer.Typer(no_args_is_help=True, help="Stored runs for Prometheus and OpenTelemetry.")


@app.command("prometheus")
def prometheus(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many runs, newest first.")
    ] = 10,
    listen: Annotated[
        str | None,
        typer.Option(help="Serve the page here until Ctrl-C; a loopback address.", metavar="HOST:PORT"),
    ] = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Print the newest runs in Prometheus' text format, or serve them at /metrics."""
    from loadlab import store
    from loadlab.exporters.prometheus import Latest, page

    with store.open(store_url(db), create=False) as opened:
        latest = Latest(opened, limit)
        if listen is not None:
            _serve(latest, listen, json)
            return
        summaries = latest.summaries()
        if not summaries:
            raise NoDataError(f"no run is stored in {opened.info()['url']}; `loadlab run` records one.")
    if json:
        emit_json({"page": page(summaries)})
    else:
        sys.stdout.write(page(summaries))


@app.command("otel")
def otel(
    ref: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or 'latest'.")
    ] = "latest",
    endpoint: Annotated[
        str, typer.Option(help="OTLP/HTTP address of a collector, without the path.", metavar="URL")
    ] = "http://127.0.0.1:4318",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Send one run to an OpenTelemetry collector under the GenAI conventions' names.

    Headers come from OTEL_EXPORTER_OTLP_HEADERS. Needs the extra otel.
    """
    from loadlab import store
    from loadlab.exporters import otel as exporter

    with store.open(store_url(db), create=False) as opened:
        run = opened.run(ref).id
        found = exporter.points(opened, run)
    if not found:
        raise NoDataError(f"run {run} has no level that ended, so there is nothing to send.")
    series = exporter.send(found, endpoint)
    if json:
        emit_json({"run": run, "endpoint": endpoint, "series": series})
    else:
        say(f"sent {series} series of run {run} to {endpoint}")


def _serve(latest: Any, listen: str, as_json: bool) -> None:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or not loopback(host.strip("[]")):
        raise UsageError(
            f"--listen '{listen}' is no loopback address with a port; write 127.0.0.1:9402. Prometheus on "
            "another host reads it through a tunnel or a proxy that asks who it is."
        )
    try:
        asyncio.run(_listen(latest, host.strip("[]"), int(port), as_json))
    except OSError as error:
        raise UsageError(f"cannot listen on {listen}: {error.strerror or error}.") from error
    except KeyboardInterrupt:
        say("stopped.")


async def _listen(latest: Any, host: str, port: int, as_json: bool) -> None:
    from aiohttp import web

    from loadlab.exporters.prometheus import page

    async def answer(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(lambda: page(latest.summaries()))
        return web.Response(text=text, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        where = runner.addresses[0]
        url = f"http://{f'[{where[0]}]' if ':' in where[0] else where[0]}:{where[1]}/metrics"
        say(f"Prometheus page: {url} · Ctrl-C stops it")
        if as_json:
            emit_json({"url": url})
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
