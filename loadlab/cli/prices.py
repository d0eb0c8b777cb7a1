"""`loadlab prices`: what is known, your own put down, and which price each target gets."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import UsageError

if TYPE_CHECKING:
    from loadlab.core.nouns import Price

app = typer.Typer(no_args_is_help=True, help="Show prices, put down your own, check those of targets.")

OLD_DAYS = 180
_SHOWN = 40
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("list")
def list_prices(
    words: Annotated[str, typer.Argument(help="Only names with this in them; also models of vendors.")] = "",
    json: Json = False,
) -> None:
    """List prices: your own and those shipped; with WORDS also the models of genai-prices."""
    from loadlab import pricing
    from loadlab.pricing import vendors

    entries = {name: entry.price for name, entry in pricing.known().items() if words.lower() in name.lower()}
    entries.update(vendors.listing(words) if words else ())
    if not entries:
        raise UsageError(f"no price has '{words}' in its name; `loadlab prices list` shows the hardware.")
    if json:
        emit_json({"prices": [document(price) for price in entries.values()]})
        return
    for name, price in list(entries.items())[:_SHOWN]:
        typer.echo(f"{name:<40} {described(price)}")
    if len(entries) > _SHOWN:
        say(f"… and {len(entries) - _SHOWN} more; give more of the name, or --json for all")


@app.command("set")
def set_price(
    name: Annotated[str, typer.Argument(help="What to call it: a model, or a word for --price.")],
    hour: Annotated[float | None, typer.Option("--hour", help="Per hour of one unit.", metavar="USD")] = None,
    unit: Annotated[str | None, typer.Option(help="Of --hour: deployment, device or vcpu.")] = None,
    terms: Annotated[str | None, typer.Option(help="Of --hour: on-demand, reserved or spot.")] = None,
    input_: Annotated[
        float | None, typer.Option("--input", help="Per million prompt tokens.", metavar="USD")
    ] = None,
    output: Annotated[
        float | None, typer.Option("--output", help="Per million output tokens.", metavar="USD")
    ] = None,
    cached_input: Annotated[
        float | None, typer.Option(metavar="USD", help="Per million cached prompt tokens.")
    ] = None,
    cache_write: Annotated[
        float | None, typer.Option(metavar="USD", help="Per million prompt tokens written to a cache.")
    ] = None,
    reasoning: Annotated[
        float | None, typer.Option(metavar="USD", help="Per million tokens of reasoning.")
    ] = None,
    audio_second: Annotated[float | None, typer.Option(metavar="USD", help="Per second of audio.")] = None,
    request: Annotated[
        float | None, typer.Option(metavar="USD", help="Per request that was answered.")
    ] = None,
    per_1000: Annotated[
        float | None, typer.Option("--per-1000", help="Per thousand inferences.", metavar="USD")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The day it was true by its source. Default: today.", metavar="DATE")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Replaces the rates of NAME from then on (UTC).", metavar="TIME")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model it is for; may be repeated.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="Only there; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Put down a price of your own in loadlab.prices.toml."""
    from loadlab.pricing import own

    given = {
        "usd_per_hour": hour, "unit": unit, "terms": terms, "input_usd_per_mtok": input_,
        "output_usd_per_mtok": output, "cached_input_usd_per_mtok": cached_input,
        "cache_write_usd_per_mtok": cache_write, "reasoning_usd_per_mtok": reasoning,
        "audio_usd_per_s": audio_second, "usd_per_request": request, own.PER_1000: per_1000,
        "source": source, "models": model, "hosts": host, "since": since,
        "as_of": as_of or (None if since else datetime.now(UTC).date().isoformat()),
    }  # fmt: skip
    place = own.place()
    price = _put_down(place, name, {key: value for key, value in given.items() if value is not None})
    say(f"wrote {place}")
    emit_json({"price": document(price)}) if json else typer.echo(f"{name}  {described(price)}")


def _put_down(place: Path, name: str, table: dict[str, Any]) -> Price:
    """Adds one table to the file if that stays sound. Raises UsageError, the file untouched."""
    import tomllib

    from loadlab.pricing import own

    if name in config.load().get("prices", {}):
        raise UsageError(f"loadlab.toml has a [prices.{name}] of its own, which would win; change it there.")
    before = place.read_text(encoding="utf-8") if place.is_file() else ""
    if before:
        config.parse(place)
    if own.head(name) in before and "since" not in table:
        raise UsageError(f"{place.name} has a price '{name}' already; say --since when the new one begins.")
    text = f"{before}{chr(10) * bool(before)}{own.written(name, table)}"
    price = own.entries(tomllib.loads(text)["prices"], place.name)[name].price
    place.write_text(text, encoding="utf-8")
    return price


@app.command("check")
def check(
    url: Annotated[str | None, typer.Option(help="An endpoint instead of the targets of the file.")] = None,
    model: Annotated[str, typer.Option(help="The model there.")] = "",
    json: Json = False,
) -> None:
    """Check your prices, and show which one each target of loadlab.toml gets."""
    from loadlab import pricing
    from loadlab.cli.run import endpoint
    from loadlab.core.nouns import Endpoint

    pricing.known()
    if url:
        places = [Endpoint(url=url, model=model, name=url)]
    else:
        places = [endpoint(None, name) for name in config.load().get("targets", {})]
    found = [(where, *pricing.resolve(None, where)) for where in places]
    if json:
        emit_json({"targets": [_checked(*one) for one in found]})
        return
    for where, price, unpriced in found:
        typer.echo(f"{where.name}: {f'{price.name} {described(price)}{old(price)}' if price else unpriced}")
    if not found:
        typer.echo("your prices are sound; loadlab.toml has no target to check them for")


def _checked(where: Any, price: Price | None, unpriced: str) -> dict[str, Any]:
    return {
        "target": where.name,
        "url": where.url,
        "model": where.model,
        "price": document(price) if price else None,
        "unpriced": unpriced,
    }


def document(price: Price) -> dict[str, Any]:
    """A price as JSON: what it has, without what it has not."""
    from dataclasses import asdict

    return {name: value for name, value in asdict(price).items() if value not in (None, "", ())}


def described(price: Price) -> str:
    """Its rates, where they are from and of when."""
    from loadlab.pricing import words

    return f"{words.rates(price)} ({words.provenance(price)})"


def old(price: Price) -> str:
    """A warning where a price was true long ago."""
    days = (datetime.now(UTC).date() - date.fromisoformat(price.as_of)).days
    return f"  [{days} days old: look it up again]" if days > OLD_DAYS else ""
