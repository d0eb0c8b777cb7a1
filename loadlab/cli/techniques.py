"""`loadlab techniques`: what each serving technique does to latency, throughput and cost, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from loadlab.drive.lab import Plan, Technique
    from loadlab.reports.techniques import Finding

_PAGE = Path("techniques.md")


def techniques(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which ones, such as prefix-cache ngram. Default: all."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running `loadlab serve`, without /v1. Default: one is started for each technique."
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(help="Flags of the server that is started, such as '--hardware h100'.", metavar="FLAGS"),
    ] = "",
    pairs: Annotated[int, typer.Option(help="How often each is measured off and on.")] = 4,
    requests: Annotated[int, typer.Option(help="Requests per user and block.")] = 3,
    price: options.PriceName = None,
    api_key_env: options.KeyEnv = None,
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = _PAGE,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Measure serving techniques, each off and on.

    The same requests with each technique off, on, on, off … by ordinary runs against the bundled server.
    Writes one Markdown page: what each did to TTFT, inter-token latency, throughput and cost, with intervals.
    """
    import shlex

    from loadlab.drive import lab
    from loadlab.reports import techniques as report

    for name, count in (("pairs", pairs), ("requests", requests)):
        if count < 1:
            raise UsageError(f"--{name} {count} measures nothing; it must be at least 1.")
    if url and server:
        raise UsageError("--url and --server exclude each other: a running server has its flags already.")
    chosen = lab.find(names)
    plan = lab.Plan(pairs, requests, price, config.store_url(db), api_key_env)
    base = url.rstrip("/").removesuffix("/v1") if url else None
    say(f"{len(chosen)} techniques, {pairs} pairs each; server and client share this machine: leave it alone")
    about: dict[str, Any] = {}
    findings = [_finding(technique, base, shlex.split(server), plan, about) for technique in chosen]
    about = {**_machine(pairs, requests), **about}
    out.write_text(report.render(about, findings), encoding="utf-8")
    say(f"written: {out}")
    if json:
        emit_json(report.document(about, findings))
    if not any(finding.effects for finding in findings):
        raise typer.Exit(ExitCode.NO_DATA)


def _finding(
    technique: Technique, url: str | None, flags: list[str], plan: Plan, about: dict[str, Any]
) -> Finding:
    from dataclasses import replace

    from loadlab.analysis.effects import effects
    from loadlab.drive import lab
    from loadlab.reports.techniques import Finding

    load = (
        f"scenario `{technique.scenario}`, {technique.users} user{'s' * (technique.users > 1)}, "
        f"answers of {technique.max_tokens} tokens"
    )
    found = Finding(technique.name, technique.title, technique.off, technique.on, load, technique.pays)
    try:
        with lab.sides(technique, url, flags, plan.api_key_env) as (off, on):
            about.update(lab.served(off.url))
            measured = lab.measure(technique, off, on, plan, say)
    except lab.Skip as reason:
        say(f"{technique.name}: not measured: {reason}")
        return replace(found, skipped=str(reason))
    return replace(found, effects=effects(measured.off, measured.on, lab.METRICS), doubts=measured.doubts)


def _machine(pairs: int, requests: int) -> dict[str, Any]:
    from datetime import UTC, datetime

    from loadlab import __version__

    return {
        "model": "no model", "device": "no device",
        "date": datetime.now(UTC).date().isoformat(),
        "loadlab": __version__,
        "how": (
            f"Each technique off, on, on, off … {pairs} times, {requests} requests per user and block, the "
            "same requests for both of a pair; server and client on one machine."
        ),
    }  # fmt: skip
