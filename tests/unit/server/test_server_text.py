"""Text: no half characters, no leaked stop text, and nothing lost."""

from __future__ import annotations

from random import Random

import pytest

from loadlab.server import weights
from loadlab.server.text import BpeTokeniser, ByteTokeniser, Detokeniser, chatml

HARD = "Grüße 👩‍👩‍👧‍👦 漢字かな交じり文 🇩🇪 e\u0301 Ω"


def deltas(text: str, stops: tuple[str, ...] = ()) -> tuple[list[str], Detokeniser]:
    """What comes out token by token when each byte is a token."""
    tokens = list(text.encode())
    detokeniser = Detokeniser(ByteTokeniser().pieces, stops)
    out = []
    for index, token in enumerate(tokens):
        out.append(detokeniser.push(token, last=index == len(tokens) - 1))
        if detokeniser.stopped:
            break
    return out, detokeniser


def test_bytes_become_whole_characters_and_nothing_is_lost() -> None:
    out, _ = deltas(HARD)
    assert "".join(out) == HARD
    assert "\ufffd" not in "".join(out)
    assert "".join(out[: len("Grü".encode()) - 1]) == "Gr"  # half of the ü has arrived


def test_what_is_no_character_at_the_end_is_shown_as_such() -> None:
    detokeniser = Detokeniser(ByteTokeniser().pieces)
    assert detokeniser.push(0xF0) == ""
    assert detokeniser.push(0x9F, last=True) == "\ufffd"


def test_a_stop_text_ends_the_answer_and_never_shows() -> None:
    out, detokeniser = deltas("one two STOP three", ("STOP", "never"))
    assert "".join(out) == "one two "
    assert detokeniser.stopped


def test_the_beginning_of_a_stop_text_is_held_back_until_it_is_clear() -> None:
    out, detokeniser = deltas("a STOMP", ("STOP",))
    assert out == ["a", " ", "", "", "", "STOM", "P"]
    assert not detokeniser.stopped


def test_a_held_back_beginning_is_released_at_the_end() -> None:
    out, _ = deltas("a STO", ("STOP",))
    assert "".join(out) == "a STO"


def test_the_earliest_of_several_stops_wins() -> None:
    out, _ = deltas("abcdef", ("ef", "cd"))
    assert "".join(out) == "ab"


@pytest.mark.parametrize(
    ("turns", "begins"),
    [
        ([("user", "Hi")], "<|im_start|>system\nYou are a helpful AI assistant named SmolLM"),
        (
            [("system", "Be brief."), ("user", "Hi")],
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n",
        ),
    ],
)
def test_chatml_opens_with_a_system_line(turns: list[tuple[str, str]], begins: str) -> None:
    text = chatml(turns)
    assert text.startswith(begins)
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_out_bit_by_bit_is_what_decoding_all_at_once_gives(seed: int) -> None:
    luck = Random(seed)
    whole = HARD.encode() if luck.random() < 0.5 else luck.randbytes(60)
    noise = bytes(luck.choice(whole) for _ in range(40))  # also bytes that are no text at all
    for data in (whole, noise, whole + noise):
        cuts = sorted(luck.sample(range(len(data)), 12))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        detokeniser = Detokeniser(pieces, luck.choice([(), ("no such text", "\ufffe")]))
        out = [detokeniser.push(i, last=i == len(pieces) - 1) for i in range(len(pieces))]
        assert "".join(out) == data.decode(errors="replace")


def test_the_first_tokens_asked_for_are_no_stop_text() -> None:
    detokeniser = Detokeniser(ByteTokeniser().pieces, ("ab",), least=3)
    assert "".join(detokeniser.push(byte) for byte in b"abaab") == "aba"
    assert detokeniser.stopped
    late = Detokeniser(ByteTokeniser().pieces, ("ab",), least=3)
    assert "".join(late.push(byte) for byte in b"xxab") == "xxab"  # it began too early
    assert not late.stopped


def test_real_tokens_of_hard_texts_come_back_as_they_were() -> None:
    pytest.importorskip("tokenizers", reason="needs the server extra")
    path = weights.cache_folder() / "smollm2-135m-v1" / "tokenizer.json"
    if not path.is_file():
        pytest.skip("the SmolLM2 weights are not in the cache; loadlab serve fetches them")
    real = BpeTokeniser(path)
    for text in (HARD, HARD[::-1], "🦊" * 9, "日本語と한국어 и кириллица", "a\u200b\u00a0b\r\n\t", " \x00 "):
        tokens = real.encode(text)
        detokeniser = Detokeniser(real.pieces)
        out = [detokeniser.push(token, last=i == len(tokens) - 1) for i, token in enumerate(tokens)]
        assert "".join(out) == text
        assert not any("\ufffd" in part for part in out)
