"""`loadlab alerts`: where alerts go, what was told, and a sample."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, NoDataError, UsageError

if TYPE_CHECKING:
    from loadlab.alerts.channels import Alerts, Channel
    from loadlab.store.outbox import Letter

app = typer.Typer(no_args_is_help=True, help="Tell the channels of [alerts] what is new.")
_PATIENCE_S = 60.0


@app.command("list")
def list_channels(json: options.Json = False) -> None:
    """List the channels, and whether the variables they name are set."""
    about = _channels()
    rows: list[dict[str, Any]] = [
        {"name": each.name, "kind": each.kind, "on": list(each.on), "variables": _variables(each)}
        for each in about.channels
    ]
    if json:
        emit_json({"channels": rows, "dashboard_url": about.dashboard_url, "after": about.after})
        return
    for row in rows:
        missing = ", ".join(name for name, is_set in row["variables"].items() if not is_set)
        words = f"  NOT SET: {missing}" if missing else ""
        typer.echo(f"{row['name']}  {row['kind']}  {', '.join(row['on'])}{words}")


def _variables(channel: Channel) -> dict[str, bool]:
    """Which variables it names, and whether they are set."""
    named = (channel.url_env, channel.secret_env, channel.password_env)
    return {name: name in os.environ for name in named if name}


@app.command("test")
def send_sample(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A channel: the NAME of [alerts.NAME].")],
    json: options.Json = False,
) -> None:
    """Send a sample to one channel, once. Exit code 3 when it does not take it."""
    from loadlab.alerts import channels, occasions
    from loadlab.alerts.nouns import UndeliveredError
    from loadlab.core.errors import TargetError

    about = _channels()
    alert = occasions.sample(about)
    try:
        channels.deliver(about.channel(name), alert, os.environ)
    except UndeliveredError as error:
        raise TargetError(f"channel {name} did not take the sample: {error}") from error
    if json:
        emit_json({"channel": name, "alert": alert.to_dict()})
    else:
        say(f"channel {name} took the sample")


@app.command("send")
def send(db: options.Db = None, json: options.Json = False) -> None:
    """Tell the channels what is new: incidents, gates that turned, jobs that keep failing.

    For where no `loadlab schedule run` does it, such as after a command of cron. Tries again for a minute;
    what has not arrived by then is tried by the next call. Exit code 3 when something is left.
    """
    from loadlab import store
    from loadlab.alerts import delivery
    from loadlab.store.outbox import Outbox

    about, sent, troubles = _channels(), [], list[str]()
    deadline = time.monotonic() + _PATIENCE_S
    with store.open(config.store_url(db), create=False) as database:
        delivery.collect(database, about)
        while True:
            arrived, troubles = delivery.send_due(database, about, os.environ)
            sent += arrived
            for trouble in troubles:
                say(trouble)
            due = Outbox(database).next_try_at_ns()
            pause_s = None if due is None else max(0.1, due / 1e9 - time.time())
            if pause_s is None or time.monotonic() + pause_s > deadline:
                break
            time.sleep(pause_s)
    if json:
        emit_json({"sent": [_document(each) for each in sent], "left": due is not None})
    else:
        say(f"{len(sent)} sent{', some left' if due is not None else ''}")
    if due is not None or troubles:
        raise typer.Exit(ExitCode.TARGET)


@app.command("log")
def log(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Show what was told to whom, newest first, and what has not arrived."""
    from loadlab import store
    from loadlab.store.outbox import Outbox

    with store.open(config.store_url(db), create=False) as database:
        letters = Outbox(database).letters(limit)
        if not letters:
            raise NoDataError(f"no alert is stored in {database.info()['url']} yet.")
    if json:
        emit_json({"alerts": [_document(each) for each in letters]})
        return
    for each in map(_document, letters):
        how = f"{each['state']} after {each['attempts']}: {each['error']}"
        how = f"sent {each['sent_at']}" if each["sent_at"] else how
        head = f"{each['created_at']}  {each['channel']}  {each['event']}  {each['title']}"
        typer.echo(f"{head}\n    {how}")


def _channels() -> Alerts:
    from loadlab.alerts import channels

    about = channels.parse(config.load())
    if not about.channels:
        raise UsageError("loadlab.toml has no table [alerts.NAME]; docs/alerts.md shows one to begin with.")
    return about


def _document(letter: Letter) -> dict[str, Any]:
    from loadlab.store.outbox import NEVER_NS

    state = "sent" if letter.sent_at_ns else "given up" if letter.next_try_at_ns == NEVER_NS else "waiting"
    return {
        "occasion": letter.occasion, "subject": letter.subject, "event": letter.event,
        "channel": letter.channel,
        "title": letter.document["title"], "state": state, "attempts": letter.attempts, "error": letter.error,
        "created_at": _iso(letter.created_at_ns), "sent_at": _iso(letter.sent_at_ns),
    }  # fmt: skip


def _iso(at_ns: int | None) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // 10**9, UTC).isoformat()
