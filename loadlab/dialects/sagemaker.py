"""SageMaker endpoints: a container's own language, carried in AWS frames that do not align with its events.

The container decides what it speaks: OpenAI chat (vLLM, SGLang, LMI) or TGI. Credentials are the wire's
business.
Source: botocore's model of sagemaker-runtime 1.44, read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, openai, tgi
from loadlab.dialects.answer import Answer, Cutter, Whole
from loadlab.dialects.calls import post
from loadlab.dialects.eventstream import Parts
from loadlab.dialects.sse import SseDecoder


class Reads(Protocol):
    """The answer of an inner language, given how its body is cut."""

    def __call__(self, cutter: Cutter) -> Answer: ...


class Says(Protocol):
    """The body of an inner language."""

    def __call__(self, request: Request) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class SageMaker:
    """`says` and `reads` are the inner language; the endpoint's name, given as the model, is in the path."""

    says: Says
    reads: Reads

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = {**self.says(request), "stream": request.stream}
        return post(endpoint, f"/endpoints/{{model}}/invocations{'-response-stream' * request.stream}", body)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return self.reads(Parts(SseDecoder) if "eventstream" in content_type else Whole())


CHAT = SageMaker(openai.CHAT.body, openai.CompletionAnswer)
TGI = SageMaker(tgi.generate_body, tgi.GenerateAnswer)
