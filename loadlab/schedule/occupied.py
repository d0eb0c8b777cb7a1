"""What a job occupies: the endpoints that it measures, or this host where it starts servers itself."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from loadlab.core import config as configuration
from loadlab.schedule.jobs import Job


def targets(job: Job, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The URLs (or the names, where there is no URL) that nobody else may measure meanwhile."""
    named = job.targets or tuple(_named(job, config))
    return tuple(dict.fromkeys(_url(name, config) for name in named)) or (f"host {socket.gethostname()}",)


def _named(job: Job, config: Mapping[str, Any]) -> list[str]:
    """By the flags of the command, else by the tables that it reads."""
    given = [
        value for flag in ("--target", "--url", "--base-url") for value in values(job.command, flag)
    ]  # fmt: skip
    given += [route.partition("=")[2] for route in values(job.command, "--route")]
    if job.kind.startswith("gate"):
        gate = config.get("gate", {})
        flags = {"target": "--url", "base": "--base-url"}
        given += [gate[key] for key, flag in flags.items() if gate.get(key) and not values(job.command, flag)]
    return given


def values(words: Sequence[str], flag: str) -> list[str]:
    """What a flag is given in a command, in either spelling."""
    found = [after for word, after in pairwise(words) if word == flag]
    return found + [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]


def _url(name: str, config: Mapping[str, Any]) -> str:
    if "://" not in name and name in config.get("targets", {}):
        name = configuration.target(name, config).url or name
    return name.rstrip("/")
