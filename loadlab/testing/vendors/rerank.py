"""Jina's and Cohere's rerank."""

from __future__ import annotations

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import MODEL, PROMPT_TOKENS, TEXT, Vendor, as_json

RERANK = Vendor(
    path="/v1/rerank",
    body={"model": MODEL, "query": TEXT, "documents": ["one", "two"]},
    usage=Usage(PROMPT_TOKENS),
    document=lambda text: as_json(
        results=[{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.5}],
        usage={"total_tokens": PROMPT_TOKENS},
    ),
    refusal=lambda words: as_json(detail=words),
)
