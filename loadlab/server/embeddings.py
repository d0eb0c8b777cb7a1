"""`/v1/embeddings`: texts to vectors, in OpenAI's shape.

Knows no model: whoever embeds is an `Embed`, started when it is first asked.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

from loadlab.server.bodies import ApiError, Document, model_name, read_document

MODEL = "all-minilm-l6-v2"
DIMENSIONS = 384
MOST_INPUTS = 2048  # as OpenAI has it


class Embed(Protocol):
    """Makes vectors of unit length."""

    async def start(self) -> None:
        """Makes it ready. Raises LoadlabError when it cannot be."""

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], list[int]]:
        """A vector for each text, and how many tokens each had."""

    async def stop(self) -> None:
        """Frees everything."""


class SimEmbedder:
    """Vectors of the right shape and no meaning, at once: the same text gives the same one."""

    async def start(self) -> None:
        return

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], list[int]]:
        return [_vector(text) for text in texts], [len(text.split()) for text in texts]

    async def stop(self) -> None:
        return


def _vector(text: str) -> list[float]:
    raw = hashlib.shake_128(text.encode()).digest(DIMENSIONS)
    centred = [byte - 127.5 for byte in raw]
    length = math.sqrt(sum(value * value for value in centred))
    return [value / length for value in centred]


class Embeddings:
    """One embedding model, started at the first question."""

    def __init__(self, make: Callable[[], Embed], model: str) -> None:
        self.model = model
        self._make = make
        self._embedder: Embed | None = None
        self._starting = asyncio.Lock()

    async def answer(self, body: bytes) -> bytes:
        """The document that answers a body. Raises ApiError, or LoadlabError when the model cannot be had."""
        return await self.answer_document(read_document(body))

    async def answer_document(self, document: Document) -> bytes:
        """See `answer`."""
        texts, encode = self._texts(document), _encoding(document)
        vectors, counts = await (await self._ready()).embed(texts)
        data = [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
        return orjson.dumps({"object": "list", "data": data, "model": self.model, "usage": usage})

    async def stop(self) -> None:
        """Frees the model where it was started."""
        if self._embedder:
            await self._embedder.stop()

    async def _ready(self) -> Embed:
        async with self._starting:
            if self._embedder is None:
                embedder = self._make()
                await embedder.start()
                self._embedder = embedder
            return self._embedder

    def _texts(self, document: Document) -> list[str]:
        if (asked := model_name(document)) not in (None, self.model):
            message = f"The model '{asked}' makes no embeddings here; '{self.model}' does."
            raise ApiError(404, message, "model", "model_not_found")
        if (size := document.get("dimensions")) not in (None, DIMENSIONS):
            raise ApiError(
                400, f"dimensions must be {DIMENSIONS} for this model, not {size!r}.", "dimensions"
            )
        texts = document.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if (
            not isinstance(texts, list)
            or not texts
            or not all(isinstance(text, str) and text for text in texts)
        ):
            raise ApiError(400, "input must be a text or a list of texts, none of them empty.", "input")
        if len(texts) > MOST_INPUTS:
            raise ApiError(400, f"input has {len(texts)} texts; at most {MOST_INPUTS} at once.", "input")
        return texts


def _encoding(document: Document) -> Callable[[Sequence[float]], Any]:
    match document.get("encoding_format"):
        case None | "float":
            return list
        case "base64":
            return _base64
        case other:
            raise ApiError(
                400, f"encoding_format must be 'float' or 'base64', not {other!r}.", "encoding_format"
            )


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()
