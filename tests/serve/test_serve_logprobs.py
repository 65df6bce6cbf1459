"""Log probabilities against arithmetic by hand, and which tokens a piece of text is made of."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sightline_serve.logprobs import Ledger, TokenLogprob, logprob
from sightline_serve.reading import Prompt
from sightline_serve.sampling import SamplingParams
from sightline_serve.sequence import Event, Finish, Piece, Sequence

KNOWN = [0.5, 0.3, 0.15, 0.05]


def test_they_are_the_models_own() -> None:
    found = logprob(torch.tensor(KNOWN).log() + 7, 2, 2)
    assert found.token == 2
    assert found.logprob == pytest.approx(math.log(0.15), abs=1e-6)
    assert [token for token, _ in found.top] == [0, 1]
    assert [value for _, value in found.top] == pytest.approx([math.log(0.5), math.log(0.3)], abs=1e-6)


def test_the_impossible_has_a_number_and_more_than_all_is_all() -> None:
    found = logprob(torch.tensor([0.0, -torch.inf]), 1, 20)
    assert found.logprob == -9999.0
    assert [token for token, _ in found.top] == [0, 1]


def tokens(*ids: int) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(number, -1.0) for number in ids)


def test_held_back_text_keeps_its_tokens() -> None:
    ledger = Ledger()
    for number, characters in enumerate((0, 1, 3, 2)):
        ledger.bring(characters, TokenLogprob(number, -1.0))
    assert ledger.say(1) == tokens(0, 1)
    assert ledger.say(2) == tokens(2)  # two of its three
    assert ledger.say(1) == ()
    assert ledger.say(1) == tokens(3)
    assert ledger.rest() == ()


@given(st.lists(st.integers(0, 4), max_size=12), st.lists(st.integers(1, 5), max_size=12))
def test_every_token_is_told_once_in_order(brought: list[int], said: list[int]) -> None:
    ledger = Ledger()
    for number, characters in enumerate(brought):
        ledger.bring(characters, TokenLogprob(number, -1.0))
    told = [one.token for characters in said for one in ledger.say(characters)]
    told += [one.token for one in ledger.rest()]
    assert told == list(range(len(brought)))


def events(text: str, **wishes: object) -> list[Event]:
    """A sequence that is made to say `text`, a letter a token."""
    sent: list[Event] = []
    params = SamplingParams(len(text), logprobs=0, **wishes)  # type: ignore[arg-type]
    sequence = Sequence(
        Prompt({}, 1, 0), params, client="", eos=frozenset(), send=sent.append,
        text=lambda ids: "".join(map(chr, ids)),
    )  # fmt: skip
    for letter in text:
        if not sequence.done:
            row = torch.zeros(128)
            row[ord(letter)] = 9
            sequence.take(row)
    return sent


def told(sent: list[Event]) -> str:
    return "".join(
        chr(one.token) for event in sent if isinstance(event, Piece | Finish) for one in event.logprobs
    )


def test_tokens_of_a_stop_string_are_not_told() -> None:
    sent = events("red END", stop=(" END",))
    assert told(sent) == "red"
    assert told(events("red EN")) == "red EN"
