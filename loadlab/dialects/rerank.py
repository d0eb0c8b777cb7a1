"""Ranking documents for a query, as Jina, Cohere, vLLM and llama.cpp do. One answer, in one piece.

The query is what the request asks, the documents are its `inputs`, or the query itself where it has none.
Source: jina.ai and docs.cohere.com (rerank), vLLM 0.33, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.usage import Usage


class Rerank:
    """`/rerank`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        query = text_of(request)
        body = {"model": endpoint.model, "query": query, "documents": list(request.inputs) or [query]}
        return post(endpoint, "/rerank", body, prefix="/v1")

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return RerankAnswer(Whole())


class RerankAnswer(Answer):
    """Tokens of the input, as Jina (`usage`) or Cohere (`meta.tokens`) say them."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        reported = document.get("usage") or {}
        tokens = (document.get("meta") or {}).get("tokens") or {}
        count = reported.get("prompt_tokens", reported.get("total_tokens", tokens.get("input_tokens")))
        self.usage = Usage(prompt_tokens=count)


RERANK = Rerank()
