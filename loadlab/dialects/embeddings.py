"""OpenAI embeddings, as OpenAI, Azure, vLLM, TEI, Ollama and others speak them. One answer, in one piece.

Source: platform.openai.com/docs/api-reference/embeddings, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of


class Embeddings:
    """Embeds the request's `inputs`, or what it asks where it has none."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        inputs = list(request.inputs) or [text_of(request)]
        body = {"model": endpoint.model, "input": inputs, "encoding_format": "float"}
        return post(endpoint, "/embeddings", body, prefix="/v1")

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return EmbeddingsAnswer(Whole())


class EmbeddingsAnswer(Answer):
    """Tokens of the input; there is no output to count."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if reported := document.get("usage"):
            self.usage = usage.openai(reported)


EMBEDDINGS = Embeddings()
