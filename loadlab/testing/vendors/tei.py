"""Text Embeddings Inference."""

from __future__ import annotations

from loadlab.testing.vendors import TEXT, Vendor, as_json

EMBED = Vendor(
    path="/embed",
    body={"inputs": ["one", "two"], "truncate": True},
    document=lambda text: b"[[0.5, -0.25], [0.125, 1.0]]",
    refusal=lambda words: as_json(error=words, error_type="Overloaded"),
)
RERANK = Vendor(
    path="/rerank",
    body={"query": TEXT, "texts": ["one", "two"], "truncate": True},
    document=lambda text: b'[{"index": 1, "score": 0.75}, {"index": 0, "score": 0.5}]',
    refusal=EMBED.refusal,
)
