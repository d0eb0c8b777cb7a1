"""`loadlab dash`: the dashboard, on this machine or behind a login."""

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
SHORTEST_SECRET = 16


def dash(
    db: options.Db = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that is not loopback needs a login or --auth none.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8050,
    token_env: Annotated[
        str | None,
        typer.Option(help="Environment variable with the secret that lets visitors in.", metavar="NAME"),
    ] = None,
    operator_token_env: Annotated[
        str | None,
        typer.Option(help="The same for a secret that also lets them change things.", metavar="NAME"),
    ] = None,
    proxy_user_header: Annotated[
        str | None,
        typer.Option(help="Header in which a trusted proxy names the user.", metavar="HEADER"),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address of a proxy that may set that header; repeatable.", metavar="IP"),
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(help="User, as the proxy names it, who may change things; repeatable.", metavar="USER"),
    ] = None,
    auth: Annotated[
        str, typer.Option(help="login: as the options say. none: whoever reaches the address gets in.")
    ] = "login",
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Whoever gets in may change baselines, prices, incidents.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Path under which a proxy shows it, such as /loadlab/.")] = "/",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout when ready.")] = False,
) -> None:
    """Serve the dashboard over the stored runs until Ctrl-C."""
    secrets = _secrets(token_env, operator_token_env)
    proxies = _addresses(trusted_proxy or [])
    if bool(proxy_user_header) != bool(proxies):
        raise UsageError("--proxy-user-header HEADER and --trusted-proxy IP belong together: give both.")
    if operator and not proxies:
        raise UsageError(
            "--operator names a user of a proxy: give --proxy-user-header and --trusted-proxy too."
        )
    _check_reach(host, auth, known=bool(secrets or proxies))
    below = _prefix(prefix)
    import loadlab.store
    from loadlab.core.finder import beside

    with closing(loadlab.store.open(store_url(db))) as store:
        pages = beside("dashboard")
        access = pages.Access(
            secrets=secrets,
            header=proxy_user_header or "",
            proxies=proxies,
            operators=frozenset(operator or ()),
            changes=allow_changes,
            **({"names": frozenset()} if auth == "none" else {}),
        )
        app = pages.create_app(store, prefix=below, access=access)
        server = _listen(app.server, host, port)
        url = _url(host, server.effective_port) + below.removeprefix("/")
        _announce(url, store.where, json=json, open_browser=open_browser)
        server.run()  # returns on Ctrl-C, after the requests in hand
    say("stopped.")


def _secrets(reader: str | None, operator: str | None) -> dict[str, str]:
    from loadlab.cli.gpu import secret

    found = {
        "reader": secret("--token-env", reader),
        "operator": secret("--operator-token-env", operator),
    }
    for role, value in found.items():
        if value is not None and len(value) < SHORTEST_SECRET:
            raise UsageError(
                f"the {role}'s secret has {len(value)} characters; give at least {SHORTEST_SECRET}, for "
                'instance python -c "import secrets; print(secrets.token_urlsafe())"'
            )
    return {role: value for role, value in found.items() if value}


def _addresses(given: list[str]) -> frozenset[str]:
    try:
        return frozenset(str(ipaddress.ip_address(each)) for each in given)
    except ValueError as error:
        raise UsageError(f"--trusted-proxy: {error}; give the address itself, such as 10.0.0.2.") from error


def _check_reach(host: str, auth: str, *, known: bool) -> None:
    if auth not in ("login", "none"):
        raise UsageError(f"--auth '{auth}' is not known; it is login or none.")
    if auth == "none" and known:
        raise UsageError("--auth none lets everybody in; drop it, or the secret and the proxy.")
    if not (known or auth == "none" or _loopback(host)):
        raise UsageError(
            f"--host {host} is not a loopback address, so visitors have to log in: give --token-env NAME (a "
            "secret), or --proxy-user-header and --trusted-proxy, or say --auth none. Without any: listen on "
            "127.0.0.1 and forward it: ssh -L 8050:127.0.0.1:8050 HOST"
        )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _prefix(given: str) -> str:
    if not given.startswith("/") or "//" in given:
        raise UsageError(f"--prefix '{given}' is not understood; write it like /loadlab/.")
    return given.rstrip("/") + "/"


def _listen(application: Any, host: str, port: int) -> BaseWSGIServer:
    import waitress

    # One name may stand for two addresses, and then for two servers.
    address = "127.0.0.1" if host == "localhost" else host
    try:
        return waitress.create_server(application, host=address, port=port, threads=THREADS, ident=None)
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
