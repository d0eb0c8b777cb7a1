"""`loadlab worker`: this machine as one load host of a run that another machine controls."""

from __future__ import annotations

from typing import Annotated

import typer

from loadlab.cli import options
from loadlab.cli.output import say
from loadlab.core import config

Master = Annotated[
    str, typer.Option(help="Where `loadlab run --hosts N` listens.", metavar="HOST:PORT", show_default=True)
]


def worker(
    master: Master = "127.0.0.1:5557", processes: options.Processes = 1, db: options.Db = None
) -> None:
    """Carry a share of a run that `loadlab run --hosts N` controls, then end."""
    from loadlab.core.errors import UsageError
    from loadlab.drive.host_agent import Agent
    from loadlab.drive.hosts import address

    if processes < 1:
        raise UsageError(f"--processes {processes} asks for nothing; it must be more than 0.")
    host, port = address(master)
    Agent(host, port, processes, config.store_url(db), say).serve()
    say("done")
