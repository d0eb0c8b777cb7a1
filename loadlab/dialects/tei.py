"""Text Embeddings Inference's own embed and rerank. One answer, in one piece, with no counts in it.

Source: huggingface/text-embeddings-inference docs/openapi.json, read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole, words
from loadlab.dialects.calls import post, text_of


@dataclass(frozen=True, slots=True)
class Tei:
    """Embeds the request's `inputs`, or ranks them for what it asks; without inputs, what it asks itself."""

    rank: bool

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        query = text_of(request)
        texts = list(request.inputs) or [query]
        if self.rank:
            return post(endpoint, "/rerank", {"query": query, "texts": texts, "truncate": True})
        return post(endpoint, "/embed", {"inputs": texts, "truncate": True})

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return TeiAnswer(Whole())


class TeiAnswer(Answer):
    """A list is an answer, an object a refusal."""

    __slots__ = ()

    def _take(self, message: bytes, deltas: list[Delta]) -> None:
        document: Any = orjson.loads(message)
        if isinstance(document, dict):
            self.error = words(document)


EMBED = Tei(rank=False)
RERANK = Tei(rank=True)
