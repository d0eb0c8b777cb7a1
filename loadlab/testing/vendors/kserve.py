"""KServe v2."""

from __future__ import annotations

from loadlab.testing.vendors import TEXT, Vendor, as_json

INFER = Vendor(
    path="/v2/models/a%3Amodel/infer",
    body={
        "inputs": [
            {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": [TEXT]},
            {"name": "max_tokens", "datatype": "INT32", "shape": [1, 1], "data": [7]},
        ]
    },
    document=lambda text: as_json(
        model_name="m",
        outputs=[{"name": "text_output", "datatype": "BYTES", "shape": [1, 1], "data": [text]}],
    ),
    refusal=lambda words: as_json(error=words),
)
