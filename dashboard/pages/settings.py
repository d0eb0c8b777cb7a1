"""Settings: SLOs, prices, the store and versions, as they are. Nothing is changed here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dash import Dash, dcc, html

from loadlab import __version__, pricing
from loadlab.core import config
from loadlab.core.errors import LoadlabError
from loadlab.core.slos import SLOS, Slo, slo
from loadlab.core.units import number, usd
from loadlab.figures import Theme
from loadlab.figures.axes import quantity
from loadlab.figures.slo import DEFAULT, MAX_ERROR_RATE

from ..components import Column, facts, page, section, table
from ..source import Source
from ..words import counted

PATH = "/settings"
TITLE = "Settings"
_PACKAGES = (
    "dash",
    "plotly",
    "dash-mantine-components",
    "pandas",
    "numpy",
    "SQLAlchemy",
    "locust",
    "waitress",
)
_SLOS = (
    Column("Name", "name", number=False),
    Column("Each request", "limits", number=False),
    Column("Share", "share"),
    Column("From", "source", number=False),
)
_PRICES = (
    Column("Name", "name", number=False),
    Column("Rate", "rate", number=False),
    Column("Source", "source", number=False),
    Column("As of", "as_of", number=False),
)
_TABLES = (Column("Table", "table", number=False), Column("Rows", "rows"))


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """What is in force where the dashboard was started."""
    info = source.store.info()
    settings, problem = _settings()
    return page(
        TITLE,
        f"loadlab {__version__} on {info['backend']}, {counted(info['counts']['run'], 'run')} in "
        f"{_size(info['size_bytes'])}. Nothing can be changed on this page.",
        html.P(problem, className="note") if problem else None,
        section("Service level objectives", *_slos(settings)),
        section("Prices", *_prices(settings)),
        section("Store", *_store(info)),
        section("Where settings come from", *_origin(settings)),
        section("Versions", facts(_versions())),
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page."""


def _settings() -> tuple[dict[str, Any], str]:
    try:
        return config.load(), ""
    except LoadlabError as error:
        return {}, str(error)


def _size(size_bytes: int | None) -> str:
    return "a size that is not known" if size_bytes is None else f"{number(size_bytes / 1e6)} MB"


def _slos(settings: Mapping[str, Any]) -> list[Any]:
    promise = f"{DEFAULT[0].words}, with at most {MAX_ERROR_RATE:g} % errors"
    try:
        known = [slo(name, settings) for name in dict.fromkeys((*settings.get("slos", {}), *SLOS))]
    except LoadlabError as error:
        return [html.P(str(error))]
    rows = [
        {
            "name": html.Code(each.name),
            "limits": _limits(each),
            "share": f"{each.share:.0%}",
            "source": each.source,
        }
        for each in known
    ]
    own = [f"{name} ≤ {limit:g} ms" for name, limit in settings.get("slo", {}).items()]
    return [
        facts([("Pages ask for", promise), ("Costs at the SLO", ", ".join(own) or "none: [slo] is not set")]),
        html.Details(
            [
                html.Summary(f"{len(rows)} names that gates know"),
                table(_SLOS, rows, "Service level objectives"),
            ]
        ),
    ]


def _limits(each: Slo) -> str:
    return ", ".join(f"{name} ≤ {quantity(limit, 'ms')}" for name, limit in each.limits.items())


def _prices(settings: Mapping[str, Any]) -> list[Any]:
    try:
        known = pricing.known(settings)
    except LoadlabError as error:
        return [html.P(str(error))]
    rows = [
        {
            "name": html.Code(name),
            "rate": _rate(entry),
            "source": entry.price.source,
            "as_of": entry.price.as_of,
        }
        for name, entry in known.items()
    ]
    note = (
        "Your own first, then those shipped. Token prices of vendors come from genai-prices and are looked "
        "up by model; each run keeps the price it had. "
    )
    return [
        html.P([note, dcc.Link("What was spent", href="/cost")], className="note"),
        html.Details(
            [html.Summary(f"{counted(len(rows), 'price')}"), table(_PRICES, rows, "Prices by name")]
        ),
    ]


def _rate(entry: Any) -> str:
    price = entry.price
    if price.kind == "hour":
        return f"{usd(price.usd_per_hour)}/h per {entry.unit}"
    rates = {"in": price.input_usd_per_mtok, "out": price.output_usd_per_mtok}
    return (
        ", ".join(f"{usd(rate)}/Mtok {name}" for name, rate in rates.items() if rate is not None) or "by use"
    )


def _store(info: Mapping[str, Any]) -> list[Any]:
    rows = [{"table": html.Code(name), "rows": f"{n or 0:,}"} for name, n in info["counts"].items()]
    return [
        facts(
            [
                ("Where", info["url"]),
                ("Backend", info["backend"]),
                ("Size", _size(info["size_bytes"])),
                ("Schema", f"revision {info['revision']}, newest known {info['head']}"),
                ("Retention", "none: runs stay until they are deleted in the database"),
            ]
        ),
        html.Details([html.Summary("Rows by table"), table(_TABLES, rows, "Rows by table")]),
    ]


def _origin(settings: Mapping[str, Any]) -> list[Any]:
    path = config.folder() / "loadlab.toml"
    tables = ", ".join(f"[{name}]" for name in settings) or "nothing"
    words = (
        f"{path}, with {tables}" if path.is_file() else f"no loadlab.toml from {path.parent} upward: defaults"
    )
    return [facts([("File", words), ("Store", "--db, else LOADLAB_DB, else [store] url")])]


def _versions() -> list[tuple[str, str]]:
    found = [("loadlab", __version__), ("Python", sys.version.split()[0])]
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found
