"""Text: no half characters, no leaked stop text, and nothing lost."""

from __future__ import annotations

import pytest

from loadlab.server.text import ByteTokeniser, Detokeniser, chatml

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
