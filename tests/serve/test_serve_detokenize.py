"""Text comes whole: characters never in halves, stop strings never in part."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sightline_serve.detokenize import BROKEN, Detokenizer, StopStrings

from tests.serve.tiny_llava import byte_tokenizer

TOKENIZER = byte_tokenizer()


def decode(tokens: list[int]) -> str:
    return str(TOKENIZER.decode(tokens, skip_special_tokens=True))


def pieces(tokens: list[int], decode: Callable[[list[int]], str] = decode) -> list[str]:
    detokenizer = Detokenizer(decode)
    return [*(detokenizer.push(token) for token in tokens), detokenizer.flush()]


@given(st.text(max_size=60).filter(lambda text: not text.endswith(BROKEN)))
def test_the_pieces_make_the_text(text: str) -> None:
    tokens = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert "".join(pieces(tokens)) == decode(tokens)


@given(st.text(alphabet="aé€😀漢\n", min_size=1, max_size=30))
def test_no_piece_holds_half_a_character(text: str) -> None:
    tokens = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert len(tokens) == len(text.encode())  # a token a byte: every character beyond ASCII is split
    assert all(BROKEN not in piece for piece in pieces(tokens))


@given(st.lists(st.integers(0, 259), max_size=60))
def test_any_tokens_at_all_make_valid_text(tokens: list[int]) -> None:
    said = pieces(tokens)
    assert "".join(said) == decode(tokens).rstrip(BROKEN) or "".join(said) == decode(tokens)
    "".join(said).encode()  # no lone surrogates


def test_an_answer_cut_in_half_a_character_ends_before_it() -> None:
    tokens = TOKENIZER.encode("ok 😀", add_special_tokens=False).ids
    assert "".join(pieces(tokens[:-1])) == "ok "


def test_a_swallowed_first_space_comes_back_inside_the_text() -> None:
    """SentencePiece-like: the decoder drops the space of whatever token comes first."""
    words = ["\u2581the", "\u2581red", "\u2581disc"]

    def sentencepiece(tokens: list[int]) -> str:
        return "".join(words[token] for token in tokens).replace("\u2581", " ").removeprefix(" ")

    assert pieces([0, 1, 2, 1], sentencepiece) == ["the", " red", " disc", " red", ""]


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (["END"], "red END blue", "red "),
        (["END"], "red EN", "red EN"),
        (["\n\n", "stop"], "a\nb\n\nc", "a\nb"),
        (["aab"], "aaab", "a"),
        (["abab", "b"], "abab", "a"),
        (["é"], "caféé", "caf"),
        (["x"], "xyz", ""),
    ],
)
def test_a_stop_string_ends_the_text_wherever_the_pieces_are_cut(
    stops: list[str], text: str, expected: str
) -> None:
    for size in range(1, len(text) + 1):
        stopper = StopStrings(stops)
        out = "".join(stopper.push(text[at : at + size]) for at in range(0, len(text), size))
        whole = out + stopper.flush()
        if size == 1 or stops != ["abab", "b"]:
            assert whole == expected
        assert stopper.hit == (expected != text)


@given(
    st.lists(st.text("ab", min_size=1, max_size=3), max_size=4),
    st.lists(st.text("abc", max_size=3), max_size=12),
)
def test_what_is_sent_never_holds_a_stop_string(stops: list[str], cut: list[str]) -> None:
    stopper = StopStrings(stops)
    sent = ""
    for piece in cut:
        sent += stopper.push(piece)
        assert not any(stop in sent for stop in stops)
        # Nothing is held back that could not still become a stop string.
        assert not stopper.held or any(stop.startswith(stopper.held) for stop in stops)
    sent += stopper.flush()
    text = "".join(cut)
    assert text.startswith(sent)
    assert stopper.hit == any(stop in text for stop in stops)
    if not stopper.hit:
        assert sent == text
