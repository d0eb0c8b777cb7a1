"""Text to token ids and back. Knows the two tokenisers and ChatML; needs `tokenizers`, never torch."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from loadlab.server.job import Turn

_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


class Tokeniser(Protocol):
    """`pieces[id]` is the bytes a token stands for; special tokens stand for none."""

    @property
    def pieces(self) -> Sequence[bytes]:
        """The bytes of each token."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids of a conversation, ready for the assistant's turn."""


class ByteTokeniser:
    """One token per byte and one that ends an answer: for the `tiny` model."""

    end = 256
    vocabulary = 257

    def __init__(self) -> None:
        self.pieces = [bytes([byte]) for byte in range(256)] + [b""]

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return self.encode(plain_chat(turns))


class BpeTokeniser:
    """BPE from a `tokenizer.json`, of bytes or SentencePiece's kind.

    Conversations are put as ChatML where the tokeniser has its markers, with the usual system line if it is
    SmolLM2's own; elsewhere as plain lines, "role: text".
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self._bpe = Tokenizer.from_file(str(path))
        added = self._bpe.get_added_tokens_decoder()
        names = [self._bpe.id_to_token(token) or "" for token in range(self._bpe.get_vocab_size())]
        read = _piece_of if "<0x0A>" in names else _bytes_of
        self.pieces = [read(name) if token not in added else b"" for token, name in enumerate(names)]
        for token, entry in added.items():
            if not entry.special:
                self.pieces[token] = entry.content.encode()
        self._chatml = "<|im_start|>" in names and "<|im_end|>" in names
        self._system = (
            _SYSTEM if path.parent.name.startswith("smollm2") else None
        )  # the bundled weights' folder

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._bpe.encode(text).ids
        return ids

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return self.encode(chatml(turns, self._system) if self._chatml else plain_chat(turns))


def tokeniser(path: Path | None) -> Tokeniser:
    """The one in the file, or that of bytes."""
    return BpeTokeniser(path) if path else ByteTokeniser()


def plain_chat(turns: Sequence[Turn]) -> str:
    """A conversation for models without a template that is known here."""
    return "".join(f"{role}: {text}\n" for role, text in turns) + "assistant: "


def chatml(turns: Sequence[Turn], system: str | None = _SYSTEM) -> str:
    """The ChatML template; `system` opens a conversation that does not do so itself."""
    opened = [*turns] if turns[0][0] == "system" or not system else [("system", system), *turns]
    return (
        "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in opened)
        + "<|im_start|>assistant\n"
    )


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, the others follow from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    letters = [*map(chr, printable), *(chr(256 + index) for index in range(len(others)))]
    return dict(zip(letters, [*printable, *others], strict=True))


_ALPHABET = _byte_alphabet()


def _piece_of(name: str) -> bytes:
    """SentencePiece's names: <0x0A> for bytes, ▁ for a space."""
    if name.startswith("<0x") and len(name) == 6:
        return bytes([int(name[3:5], 16)])
    return name.replace("▁", " ").encode()


def _bytes_of(name: str) -> bytes:
    return bytes(_ALPHABET[letter] for letter in name)


class Detokeniser:
    """Turns the tokens of one answer into text as they come.

    Half a character is held back until its other half arrives, and the beginning of a stop text until it is
    clear that it does not go on. What the first `least` tokens say is never taken for a stop text.
    """

    def __init__(self, pieces: Sequence[bytes], stops: Sequence[str] = (), least: int = 0) -> None:
        self._pieces, self._stops, self._least = pieces, stops, least
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self.stopped: str | None = None

    def push(self, token: int, last: bool = False) -> str:
        """The text that is certain after `token`; `stopped` is the stop text that ended it."""
        text = self._decode(self._pieces[token], last)
        if not self._stops:
            return text
        if self._least > 0:
            self._least -= 1
            return text
        return self._up_to_stop(text, last)

    def _up_to_stop(self, text: str, last: bool) -> str:
        self._held += text
        ends = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            end, self.stopped = min(ends)
            return self._held[:end]
        keep = 0 if last else self._undecided()
        cut = len(self._held) - keep
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def _undecided(self) -> int:
        """How many characters at the end may be the beginning of a stop text."""
        longest = min(len(self._held), max((len(stop) - 1 for stop in self._stops), default=0))
        sizes = range(longest, 0, -1)
        return next((n for n in sizes if any(stop.startswith(self._held[-n:]) for stop in self._stops)), 0)
