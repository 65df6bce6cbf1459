"""What is asked: questions whose answers are in a picture drawn a moment ago, and nowhere else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from . import draw
from .draw import Picture
from .vocabulary import COLOURS, SHAPES, WORDS

T = TypeVar("T")

Form = Literal["colour", "shape", "count", "number", "word", "yes-no", "nothing", "json", "no-picture"]

KINDS: Final[dict[str, float]] = {
    "colour": 8,
    "shape": 5,
    "count": 5,
    "number": 6,
    "word": 5,
    "empty": 2,
    "pair": 5,
    "follow-up": 2,
    "json": 2,
}
"""Kinds of question and their share of the whole: of the default 40, this many each."""

DEFAULT_QUESTIONS: Final = 40
FEWEST_QUESTIONS: Final = 18

QUESTIONS: Final[dict[str, str]] = {
    "colour": "What colour is the shape? Answer with one word.",
    "shape": "What shape is in the picture? Answer with one word.",
    "count": "How many shapes are in the picture? Answer with a number.",
    "number": "What number is written in the picture? Answer with the digits only.",
    "word": "What word is written in the picture? Answer with the word only.",
    "empty": "What is in the picture? Answer with one word.",
    "same colour": "Do the two pictures show the same colour? Answer yes or no.",
    "same shape": "Do the two pictures show the same shape? Answer yes or no.",
    "number first": "What number is written in the first picture? Answer with the digits only.",
    "number second": "What number is written in the second picture? Answer with the digits only.",
    "colour first": "What colour is the shape in the first picture? Answer with one word.",
    "colour second": "What colour is the shape in the second picture? Answer with one word.",
    "and shape": "And what shape is it? Answer with one word.",
    "json": "Describe the shape as JSON with the keys color and shape.",
}


@dataclass(frozen=True)
class Turn:
    """One thing the user says, with the pictures that go with it."""

    text: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Expected:
    """The right answer: how it is read (`form`) and its value ("red", "482", "yes", "red circle" for
    JSON).
    """

    form: Form
    value: str


@dataclass(frozen=True)
class Case:
    """One conversation: its turns, and the right answer to the last of them."""

    kind: str
    turns: tuple[Turn, ...]
    expected: Expected

    @property
    def question(self) -> str:
        """The question that is judged: the last turn's."""
        return self.turns[-1].text

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures of the conversation, in the order they are shown."""
        return tuple(picture for turn in self.turns for picture in turn.pictures)


def ask_about(kind: str, picture: Picture) -> Case:
    """The question of a one-picture kind about this picture. Raises KeyError for other kinds."""
    value = {
        "colour": picture.colour,
        "shape": picture.shape,
        "count": str(picture.count),
        "number": picture.text,
        "word": picture.text,
    }[kind]
    assert value is not None, f"{picture.caption} has no {kind}"
    form: Form = kind  # type: ignore[assignment]
    return Case(kind, (Turn(QUESTIONS[kind], (picture,)),), Expected(form, value))


def ask_about_pair(question: str, first: Picture, second: Picture) -> Case:
    """A question about two pictures; `question` is one of the keys of QUESTIONS with two words."""
    if question.startswith("same"):
        alike = first.colour == second.colour if question == "same colour" else first.shape == second.shape
        expected = Expected("yes-no", "yes" if alike else "no")
    else:
        asked = first if question.endswith("first") else second
        value = asked.text if question.startswith("number") else asked.colour
        expected = Expected("number" if question.startswith("number") else "colour", value or "")
    return Case("pair", (Turn(QUESTIONS[question], (first, second)),), expected)


def shares(total: int) -> dict[str, int]:
    """How many questions of each kind make `total`: by share, at least two of each kind.

    Raises ValueError below FEWEST_QUESTIONS, where some kind would get a single question and prove nothing.
    """
    if total < FEWEST_QUESTIONS:
        raise ValueError(
            f"at least {FEWEST_QUESTIONS} questions are needed to ask two of every kind, not {total}"
        )
    counts = dict.fromkeys(KINDS, 2)
    for _ in range(total - 2 * len(KINDS)):
        furthest = max(KINDS, key=lambda kind: KINDS[kind] / counts[kind])
        counts[furthest] += 1
    return counts


def deal(rng: random.Random, counts: dict[str, int]) -> list[Case]:
    """Fresh cases, `counts[kind]` of each kind, in random order."""
    deck: list[Case] = []
    for kind, count in counts.items():
        stream = _STREAMS[kind](rng)
        deck += [next(stream) for _ in range(count)]
    rng.shuffle(deck)
    return deck


def _colours(rng: random.Random) -> Iterator[Case]:
    """Red and blue twice each, first of all: swapped channels must not hide behind the other colours."""
    telling = ["red", "blue", "red", "blue", rng.choice(["orange", "yellow"])]
    for colour in _forever(rng, list(COLOURS), first=telling):
        yield ask_about("colour", draw.single_shape(rng, colour, draw.any_shape(rng)))


def _shapes(rng: random.Random) -> Iterator[Case]:
    for shape in _forever(rng, list(SHAPES)):
        yield ask_about("shape", draw.single_shape(rng, draw.any_colour(rng), shape))


def _counts(rng: random.Random) -> Iterator[Case]:
    for count in _forever(rng, [1, 2, 3, 4]):
        yield ask_about("count", draw.several_shapes(rng, draw.any_colour(rng), draw.any_shape(rng), count))


def _numbers(rng: random.Random) -> Iterator[Case]:
    for digits in _forever(rng, [2, 3, 3, 4], first=[3]):
        yield ask_about("number", draw.number(rng, digits))


def _words(rng: random.Random) -> Iterator[Case]:
    for text in _forever(rng, list(WORDS)):
        yield ask_about("word", draw.word(rng, text))


def _empties(rng: random.Random) -> Iterator[Case]:
    while True:
        yield Case("empty", (Turn(QUESTIONS["empty"], (draw.blank(),)),), Expected("nothing", "nothing"))


def _pairs(rng: random.Random) -> Iterator[Case]:
    """A number of either picture comes before the yes-or-no questions, which a coin gets half right."""
    for question in _forever(
        rng,
        ["same colour", "same shape", "colour first", "colour second"],
        first=["number second", "same colour", "same shape", "number first"],
    ):
        if question.startswith("number"):
            first, second = draw.number(rng, 3), draw.number(rng, 3)
        else:
            first, second = _two_shapes(rng, alike=rng.random() < 0.5, question=question)
        yield ask_about_pair(question, first, second)


def _two_shapes(rng: random.Random, alike: bool, question: str) -> tuple[Picture, Picture]:
    colours = rng.sample(list(COLOURS), 2)
    shapes = rng.sample(SHAPES, 2)
    if question == "same colour" and alike:
        colours[1] = colours[0]
    if question == "same shape" and alike:
        shapes[1] = shapes[0]
    return draw.single_shape(rng, colours[0], shapes[0]), draw.single_shape(rng, colours[1], shapes[1])


def _follow_ups(rng: random.Random) -> Iterator[Case]:
    for shape in _forever(rng, list(SHAPES)):
        picture = draw.single_shape(rng, draw.any_colour(rng), shape)
        turns = (Turn(QUESTIONS["colour"], (picture,)), Turn(QUESTIONS["and shape"]))
        yield Case("follow-up", turns, Expected("shape", shape))


def _jsons(rng: random.Random) -> Iterator[Case]:
    for shape in _forever(rng, list(SHAPES)):
        picture = draw.single_shape(rng, draw.any_colour(rng), shape)
        yield Case(
            "json", (Turn(QUESTIONS["json"], (picture,)),), Expected("json", f"{picture.colour} {shape}")
        )


def _forever(rng: random.Random, values: list[T], first: list[T] | None = None) -> Iterator[T]:
    """`first` in its order, then all values in random order, again and again."""
    yield from first or []
    while True:
        yield from rng.sample(values, len(values))


_STREAMS: Final[dict[str, Callable[[random.Random], Iterator[Case]]]] = {
    "colour": _colours,
    "shape": _shapes,
    "count": _counts,
    "number": _numbers,
    "word": _words,
    "empty": _empties,
    "pair": _pairs,
    "follow-up": _follow_ups,
    "json": _jsons,
}
