"""SageMaker: a container's stream in frames of 40 bytes, which do not align with its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loadlab.testing.vendors import TURNS, Vendor, as_json, openai, tgi
from loadlab.testing.vendors.frames import CONTENT_TYPE, exception, happening

_PART = 40


def _parts(data: bytes) -> bytes:
    pieces = [data[at : at + _PART] for at in range(0, len(data), _PART)]
    return b"".join(happening("PayloadPart", piece, "application/octet-stream") for piece in pieces)


def _carried(inner: Vendor, body: Mapping[str, Any]) -> Vendor:
    answers, thinks, calls = inner.answers, inner.reasoning, inner.tool
    assert answers
    return replace(
        inner,
        path="/endpoints/a%3Amodel/invocations-response-stream",
        content_type=CONTENT_TYPE,
        opening=[_parts(piece) for piece in inner.opening],
        noise=[_parts(piece) for piece in inner.noise],
        answers=lambda texts: [_parts(piece) for piece in answers(texts)],
        reasoning=thinks and (lambda text: _parts(thinks(text))),
        tool=calls and (lambda text: _parts(calls(text))),
        ending=lambda counted: [_parts(piece) for piece in inner.ending(counted)],
        error=lambda words: exception("ModelStreamError", words),
        refusal=lambda words: as_json(Message=words, Code="ModelError"),
        body=body,
    )


_UNNAMED = {name: value for name, value in openai.SETTINGS.items() if name != "model"}
CHAT = _carried(openai.CHAT, {**_UNNAMED, "messages": TURNS})
TGI = _carried(tgi.GENERATE, {**tgi.BODY, "stream": True})
