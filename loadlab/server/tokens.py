"""`/tokenize` and `/detokenize` in vLLM's shape: what a text is in the tokens of a model, and back."""

from __future__ import annotations

from typing import Any

import orjson

from loadlab.server.bodies import (
    ApiError,
    Ask,
    Document,
    flag,
    is_tokens,
    model_name,
    read_document,
    read_turns,
)
from loadlab.server.job import Sampling
from loadlab.server.route import Router


def tokenize(body: bytes, router: Router) -> bytes:
    """The tokens of `prompt`, or of `messages` in the model's chat template. Raises ApiError."""
    document = read_document(body)
    lane, tokens = router.choose(_question(document))
    answer: dict[str, Any] = {
        "count": len(tokens),
        "max_model_len": lane.engine.context,
        "tokens": tokens,
        "token_strs": None,
    }
    if flag(document, "return_token_strs"):
        answer["token_strs"] = [piece.decode("utf-8", "replace") for piece in lane.engine.pieces(tokens)]
    return orjson.dumps(answer)


def detokenize(body: bytes, router: Router) -> bytes:
    """The text that `tokens` stand for. Raises ApiError."""
    document = read_document(body)
    tokens = document.get("tokens")
    if tokens != [] and not is_tokens(tokens):
        raise ApiError(400, "tokens must be a list of token ids.", "tokens")
    engine = router.named(model_name(document)).engine
    try:
        text = b"".join(engine.pieces(tokens or ()))
    except IndexError as error:
        raise ApiError(400, f"tokens has an id that '{engine.model}' does not know.", "tokens") from error
    return orjson.dumps({"prompt": text.decode("utf-8", "replace")})


def _question(document: Document) -> Ask:
    prompt = document.get("prompt", "")
    if not isinstance(prompt, str):
        raise ApiError(400, "prompt must be a text.", "prompt")
    turns = () if "prompt" in document else read_turns(document)
    return Ask(model_name(document), turns, prompt, False, Sampling(), True)
