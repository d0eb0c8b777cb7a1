"""What else changed between two runs of a series: the place where a step may have its cause.

In scope: what the store knows of a run besides its numbers. Out of scope: the commit that was served, which
is what history looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Facts = Mapping[str, str]
_Row = Mapping[str, Any]


def _environment(name: str) -> Callable[[_Row], Any]:
    return lambda row: row["environment"].get(name)


def _server(name: str) -> Callable[[_Row], Any]:
    return lambda row: row["environment"].get("server", {}).get(name)


def _libraries(row: _Row) -> str:
    versions = row["environment"].get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _labels(row: _Row) -> str:
    labels = row["spec"]["endpoint"]["labels"].items()
    return ", ".join(f"{key}={value}" for key, value in sorted(labels) if key != "commit")


def _load_hosts(row: _Row) -> str:
    return ", ".join(str(host.get("name")) for host in row["environment"].get("load_hosts", ()))


FACTS: Mapping[str, Callable[[_Row], Any]] = {
    "driver": _server("driver"),
    "GPU": _server("gpu"),
    "labels": _labels,
    "host": lambda row: urlsplit(row["spec"]["endpoint"]["url"]).hostname,
    "scenario file": _environment("scenario_sha256"),
    "price": lambda row: (row["price"] or {}).get("name"),
    "loadlab": _environment("loadlab"),
    "python": _environment("python"),
    "client libraries": _libraries,
    "client platform": _environment("platform"),
    "client CPU": _environment("cpu"),
    "client CPUs": _environment("cpus"),
    "client processes": lambda row: row["spec"]["processes"],
    "load hosts": _load_hosts,
}


def facts(row: _Row) -> dict[str, str]:
    """What is known around a run, by name; `row` is one of `Store.statistics.levels`."""
    found = {name: of(row) for name, of in FACTS.items()}
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def changes(before: Facts, after: Facts) -> list[str]:
    """What differs, in words: "driver: 570.1 → 580.2". What only one of the two knows is no change."""
    return [
        f"{name}: {before[name]} → {after[name]}"
        for name in FACTS
        if name in before and name in after and before[name] != after[name]
    ]
