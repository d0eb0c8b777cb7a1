"""Acme's language: a line of JSON per piece of text, and a last line that counts."""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Lines, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.usage import Usage


class Acme:
    """`/say`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """A POST of what is asked."""
        body = {"model": endpoint.model, "ask": text_of(request), "most": request.max_tokens}
        return post(endpoint, "/say", body, stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """Lines of a stream; anything else is read at its end."""
        return AcmeAnswer(Lines() if "ndjson" in content_type else Whole())


class AcmeAnswer(Answer):
    """Ends with the line that says what was spent."""

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        """Takes one line."""
        if text := document.get("say"):
            deltas.append(Delta("answer", text))
        if spent := document.get("spent"):
            self.usage = Usage(prompt_tokens=spent["in"], output_tokens=spent["out"])
            self.finish(document.get("why"))
            self.complete = True


ACME = Acme()
