"""`loadlab targets`: which endpoints there are, and what works at one of them, in plain words."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, LoadlabError
from loadlab.core.units import parse_duration

if TYPE_CHECKING:
    from loadlab.drive.probe import Finding

app = typer.Typer(no_args_is_help=True, help="Show the targets of loadlab.toml, and test what works at one.")

_MARKS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


@app.command("list")
def list_targets(
    all_: Annotated[
        bool, typer.Option("--all", help="Also the profiles that are targets by their own name.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List the targets of loadlab.toml.

    Nothing is sent.
    """
    from loadlab.dialects import profiles

    settings = config.load()
    names = [*settings.get("targets", {}), *(profiles.known(settings) if all_ else ())]
    rows = [_row(name, settings) for name in dict.fromkeys(names)]
    if json:
        emit_json({"targets": rows})
        return
    for row in rows:
        typer.echo(f"{row['name']:<16} {row['problem'] or _described(row)}")
    if not rows:
        say("loadlab.toml names no targets; --all shows the profiles, which are targets by their own names")


def _row(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What a target comes to, or in `problem` why it comes to nothing."""
    from loadlab import dialects
    from loadlab.dialects import profiles

    try:
        where = profiles.resolve(profiles.target(name, settings), settings)
        dialects.get(where.dialect)
    except LoadlabError as error:
        return {"name": name, "problem": str(error)}
    return {
        "name": name,
        "problem": None,
        "url": where.url,
        "dialect": where.dialect,
        "model": where.model or None,
        "profile": where.profile,
        "api_key_env": where.auth_env,
        "key_is_set": bool(os.environ.get(where.auth_env)) if where.auth_env else None,
        "signs_for": where.signs_for or None,
    }


def _described(row: dict[str, Any]) -> str:
    key = f"{row['signs_for']} credentials" if row["signs_for"] else "no key"
    if row["api_key_env"]:
        key = f"${row['api_key_env']} {'is set' if row['key_is_set'] else 'is NOT set'}"
    return f"{row['dialect']}  {row['url']}  {row['model'] or '(no model named)'}  {key}"


@app.command("test")
def check(
    name: Annotated[str | None, typer.Argument(help="A target of loadlab.toml, or a profile.")] = None,
    url: options.Url = None,
    model: options.Model = None,
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    ca_file: options.CaFile = None,
    client_cert: options.ClientCert = None,
    client_key: options.ClientKey = None,
    insecure: options.Insecure = False,
    timeout: options.Timeout = "30s",
    json: options.Json = False,
) -> None:
    """Say in plain words what works at a target.

    Sends up to four requests of at most 32 output tokens. Exits with 3 where something stops a load.
    """
    from loadlab import dialects
    from loadlab.cli.run import endpoint, override
    from loadlab.core.nouns import Timeouts
    from loadlab.drive.probe import probe
    from loadlab.wire.auth import signer_of

    where = override(
        endpoint(url, name), model=model, dialect=dialect, auth_env=api_key_env, ca_file=ca_file,
        client_cert=client_cert, client_key=client_key, insecure=insecure,
    )  # fmt: skip
    dialects.get(where.dialect)
    findings: list[Finding] = []
    for finding in probe(where, signer_of(where), Timeouts(total_s=parse_duration(timeout))):
        findings.append(finding)
        if not json:
            typer.echo(f"{_MARKS[finding.state]}  {finding.name:<8} {finding.words}")
    works = all(finding.state != "problem" for finding in findings)
    if json:
        checks = [asdict(finding) for finding in findings]
        emit_json({"target": where.name, "url": where.url, "works": works, "checks": checks})
    if not works:
        raise typer.Exit(ExitCode.TARGET)
