"""What simulated engines read and write: each word or mark is one token, named by its checksum.

An answer is the same sentence over and over, so that it can pass for no model's, and so that a conversation
that quotes it has the tokens that were generated: a prefix cache then finds them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from loadlab.server.job import EngineError, Finish, Job, Turn

NATURAL_TOKENS = 128  # length of an answer when the request sets no limit
_TEXT = (
    "this answer comes from a simulated engine and every word of it is one token written on a fixed schedule "
    "so that a stopwatch can be checked against a known truth nothing here was computed by a model"
)
_WORDS = _TEXT.split()
PIECES = tuple(" " + word for word in _WORDS)
TOKENS = tuple(zlib.crc32(word.encode()) for word in _WORDS)
_BYTES = dict(zip(TOKENS, (piece.encode() for piece in PIECES), strict=True))
PERIOD = len(_WORDS)
_PIECE = re.compile(r"\w+|[^\w\s]")


def encode(text: str) -> list[int]:
    """The tokens of a text."""
    return [zlib.crc32(piece.encode()) for piece in _PIECE.findall(text)]


def encode_chat(turns: Sequence[Turn]) -> list[int]:
    """The tokens of a conversation."""
    return encode("\n".join(f"{role}: {text}" for role, text in turns))


def piece(token: int) -> bytes:
    """The bytes of a token of an answer; of a prompt's, which has no way back, its number."""
    return _BYTES.get(token) or b"<%d>" % token


def answer(start: int, tokens: int) -> str:
    """The text of the tokens of an answer from `start` on."""
    if tokens == 1 and start:
        return PIECES[start % PERIOD]
    text = "".join(PIECES[index % PERIOD] for index in range(start, start + tokens))
    return text if start else text[1:]


def length_of(job: Job, context: int) -> tuple[int, Finish]:
    """How many tokens the answer has, and why it ends then."""
    room = context - len(job.prompt)
    if job.sampling.max_tokens is None:
        return min(NATURAL_TOKENS, room), "stop"
    return min(job.sampling.max_tokens, room), "length"


def refuse_probabilities(job: Job) -> None:
    """Raises EngineError for a job that asks for what only a model has."""
    if job.sampling.logprobs is not None:
        raise EngineError("A simulated engine has no probabilities; leave out logprobs.", 400)


def identity(job: Job) -> int:
    """A number that depends on what was asked only."""
    # ints only: their hash is the same in every process
    return hash((tuple(job.prompt), job.sampling.max_tokens or 0))
