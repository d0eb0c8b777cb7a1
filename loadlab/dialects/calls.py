"""From what a dialect wants to say to the call that says it: address, headers, a body with its quirks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import orjson

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_EVENTS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


def post(
    endpoint: Endpoint,
    path: str,
    body: dict[str, Any],
    *,
    prefix: str = "",
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Call:
    """A POST of JSON, with what the endpoint renames, leaves out and adds."""
    kind = _EVENTS if stream else _JSON
    return Call(
        "POST",
        address(endpoint, path, prefix),
        {**kind, **(headers or {}), **endpoint.headers},
        orjson.dumps(fitted(endpoint, body)),
    )


def address(endpoint: Endpoint, path: str, prefix: str = "") -> str:
    """The endpoint's URL with `path` behind it; `prefix` stands in where the URL has no path of its own.

    "{model}" becomes the model's name, escaped. A query of the URL is kept, one of `path` is added to it.
    """
    parts = urlsplit(endpoint.url)
    path, _, query = path.partition("?")
    whole = urlunsplit(
        parts._replace(
            path=(parts.path.rstrip("/") or prefix) + path,
            query="&".join(filter(None, (parts.query, query))),
            fragment="",
        )
    )
    return whole.replace("{model}", quote(endpoint.model, safe=""))


def fitted(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    """The body as this endpoint wants it: a dot in a name leads into a nested object."""
    for name, other in endpoint.fields.items():
        *way, last = name.split(".")
        place = body
        for step in way:
            place = place.get(step, {})
        if last in place:
            value = place.pop(last)
            if other:
                place[other] = value
    return _joined(body, endpoint.body) if endpoint.body else body


def _joined(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with what `more` adds or replaces, nested objects joined."""
    joined = dict(body)
    for name, value in more.items():
        known = joined.get(name)
        nested = isinstance(known, Mapping) and isinstance(value, Mapping)
        joined[name] = _joined(known, value) if nested else value  # type: ignore[arg-type]
    return joined


def text_of(request: Request) -> str:
    """What is asked, as one text."""
    return request.prompt if request.prompt is not None else "\n".join(m.content for m in request.messages)


def turns(request: Request) -> list[tuple[str, str]]:
    """What is asked, as (role, text) of each turn that is no instruction."""
    if not request.messages:
        return [("user", request.prompt or "")]
    return [(turn.role, turn.content) for turn in request.messages if turn.role != "system"]


def instructions(request: Request) -> str:
    """The system's part of what is asked; "" when there is none."""
    return "\n".join(turn.content for turn in request.messages if turn.role == "system")
