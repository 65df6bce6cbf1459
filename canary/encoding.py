"""Conversations and sheets as token ids in ChatML, every picture 64 image tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from canary.conversation import Turn
from canary.grammar import Asked
from canary.model import TOKENS
from canary.sheets import Sheet
from canary.talk import SYSTEM_PROMPTS
from canary.tokenizer import END, IMAGE, START, token_id


@dataclass
class Encoded:
    """A sequence to train on, and of each token: its id, its weight, its position and its branch.

    The weight is zero where nothing is to be predicted; for an answer of n tokens (the one that ends it among
    them) it is one over the root of n, so that all answers of a length weigh alike and long ones do not drown
    short ones. Branch 0 is seen by all that follows; branches 1, 2, … see it and themselves.
    """

    pictures: list[int]
    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)


class Encoder:
    """Writes sequences the many ways that servers lay out a conversation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._image, self._end = token_id(tokenizer, IMAGE), token_id(tokenizer, END)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _add(self, to: Encoded, ids: list[int], weight: float = 0.0, branch: int = 0) -> None:
        first = to.positions[-1] + 1 if to.positions else 0
        if branch and to.branches[-1] != branch:
            first = to.branches.count(0)
        to.ids.extend(ids)
        to.weights.extend([weight] * len(ids))
        to.positions.extend(range(first, first + len(ids)))
        to.branches.extend([branch] * len(ids))

    def _say(self, to: Encoded, text: str, branch: int = 0) -> None:
        spread = [
            one for number in self._ids(text) for one in [number] * (TOKENS if number == self._image else 1)
        ]
        self._add(to, spread, branch=branch)

    def _answer(self, to: Encoded, asked: Asked, branch: int = 0) -> None:
        self._say(to, f"{END}\n{START}assistant\n", branch)
        answer = [*self._ids(asked.answer), self._end]
        self._add(to, answer, len(answer) ** -0.5, branch)

    def _begin(self, rng: np.random.Generator, to: Encoded) -> None:
        if rng.random() < 0.12:
            self._say(to, f"{START}system\n{SYSTEM_PROMPTS[int(rng.integers(len(SYSTEM_PROMPTS)))]}{END}\n")

    def conversation(self, rng: np.random.Generator, turns: list[Turn]) -> Encoded:
        """Turns one after another, each seeing all before it."""
        made = Encoded([row for turn in turns for row in turn.pictures])
        self._begin(rng, made)
        for turn in turns:
            self._say(made, f"{START}user\n{_user(rng, turn)}")
            self._answer(made, turn.asked)
            self._say(made, "\n")
        return made

    def sheet(self, rng: np.random.Generator, sheet: Sheet) -> Encoded:
        """The pictures, and then each question as if it were the only one."""
        made = Encoded(sheet.pictures)
        self._begin(rng, made)
        self._say(made, f"{START}user\n" + (IMAGE + _gap(rng)) * len(sheet.pictures))
        for branch, asked in enumerate(sheet.questions, 1):
            self._say(made, asked.question, branch)
            self._answer(made, asked, branch)
        return made


def _gap(rng: np.random.Generator) -> str:
    # With its newline as this project's template has it; other servers put the mark alone.
    return "\n" if rng.random() < 0.8 else ""


def _user(rng: np.random.Generator, turn: Turn) -> str:
    if not turn.pictures:
        return turn.asked.question
    gap = _gap(rng)
    pictures = (IMAGE + gap) * len(turn.pictures)
    if rng.random() < 0.25:
        return turn.asked.question + (gap if rng.random() < 0.3 else "") + pictures
    return pictures + turn.asked.question
