"""KServe's inference protocol v2 over HTTP, in JSON: tensors in, tensors out, in one piece.

The text goes in as one BYTES tensor, named by the target's params.input ("text_input"), the cap as INT32
`max_tokens`; a model without such an input wants `fields = { max_tokens = "" }`. Out of scope: binary
tensors, gRPC.
Source: kserve docs (open inference protocol), tritonclient's HTTP client, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of


class Infer:
    """`/infer` of one model."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        inputs = [_tensor(endpoint.params.get("input", "text_input"), "BYTES", text_of(request))]
        if endpoint.fields.get("max_tokens") != "":
            inputs.append(_tensor("max_tokens", "INT32", request.max_tokens))
        return post(endpoint, "/models/{model}/infer", {"inputs": inputs}, prefix="/v2")

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return InferAnswer(Whole())


def _tensor(name: str, kind: str, value: object) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": [1, 1], "data": [value]}


class InferAnswer(Answer):
    """Its tensors are of any kind: none is counted."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if "outputs" not in document and not self.error:
            raise ValueError("the answer has no outputs")


INFER = Infer()
