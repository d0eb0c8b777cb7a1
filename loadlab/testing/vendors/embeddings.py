"""OpenAI embeddings."""

from __future__ import annotations

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import MODEL, PROMPT_TOKENS, Vendor, as_json

EMBEDDINGS = Vendor(
    path="/v1/embeddings",
    body={"model": MODEL, "input": ["one", "two"], "encoding_format": "float"},
    usage=Usage(PROMPT_TOKENS),
    document=lambda text: as_json(
        object="list",
        data=[{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        usage={"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    ),
)
