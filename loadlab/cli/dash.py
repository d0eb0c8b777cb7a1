"""`loadlab dash`: the dashboard on this machine."""

from __future__ import annotations

import errno
import ipaddress
import json as jsonlib
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import SCHEMA, say
from loadlab.core.config import store_url
from loadlab.core.errors import UsageError

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

THREADS = 8


def dash(
    db: options.Db = None,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8050,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout when ready.")] = False,
) -> None:
    """Serve the dashboard over the stored runs until Ctrl-C."""
    _check_loopback(host)
    import loadlab.store
    from loadlab.core.finder import beside

    with closing(loadlab.store.open(store_url(db))) as store:
        app = beside("dashboard").create_app(store)
        server = _listen(app.server, host, port)
        _announce(
            _url(host, server.effective_port), store.info()["url"], json=json, open_browser=open_browser
        )
        server.run()  # returns on Ctrl-C, after the requests in hand
    say("stopped.")


def _check_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"--host {host} is not a loopback address, and the dashboard has no login yet (a shared secret "
            "comes with a later version). Listen on 127.0.0.1 and forward it: ssh -L 8050:127.0.0.1:8050 HOST"
        )


def _listen(application: Any, host: str, port: int) -> BaseWSGIServer:
    import waitress

    # One name may stand for two addresses, and then for two servers.
    address = "127.0.0.1" if host == "localhost" else host
    try:
        return waitress.create_server(application, host=address, port=port, threads=THREADS)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}.") from error
        raise UsageError(
            f"port {port} of {host} is in use; choose another with --port, or 0 for any free one."
        ) from error


def _url(host: str, port: int | str) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _announce(url: str, store: str, *, json: bool, open_browser: bool) -> None:
    say(f"dashboard: {url} · store {store} · Ctrl-C stops it")
    if json:  # one line, so that who started this can wait for it
        sys.stdout.write(jsonlib.dumps({"schema": SCHEMA, "url": url, "store": store}) + "\n")
        sys.stdout.flush()
    if open_browser:
        import webbrowser

        webbrowser.open(url)
