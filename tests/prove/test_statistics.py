"""How often the rules mistake a healthy endpoint for a broken one, and the other way round.

The rules themselves (verdict.py) are run on simulated answers: each is right with a given probability, no
picture is
drawn and nothing is asked.
"""

from __future__ import annotations

import random

import pytest

from sightline.prove.cases import Case, Expected, Turn, shares
from sightline.prove.judge import Judgement
from sightline.prove.results import Control, Shot, Sighting, Trial
from sightline.prove.verdict import decide, kinds_short, needed, needed_of_kind, slow_allowed

GUESS = {
    "colour": 1 / 11,
    "shape": 1 / 6,
    "count": 1 / 4,
    "number": 0.01,
    "word": 0.01,
    "empty": 1 / 2,
    "pair": 1 / 2,
    "follow-up": 1 / 6,
    "json": 1 / 66,
}
"""Chance of a guess, as generous as can be: a third of the pair questions can't be guessed by a coin."""


def simulated(rng: random.Random, right: dict[str, float], questions: int = 40) -> str:
    """The outcome of one run, second look included, where each answer of a kind is right with
    `right[kind]`.
    """
    sighting = Sighting()

    def ask(counts: dict[str, int]) -> None:
        for kind, count in counts.items():
            case = Case(kind, (Turn("?"),), Expected("word", "X"))
            for _ in range(count):
                sighting.shots.append(Shot(case, (), Judgement(rng.random() < right[kind], "")))

    ask(shares(questions))
    short = kinds_short(sighting.scores())
    if short:
        ask({kind: sighting.scores()[kind][1] for kind in short})
    return decide(sighting, 60).outcome


def failures(right: dict[str, float], runs: int, questions: int = 40) -> int:
    rng = random.Random(20)
    return sum(simulated(rng, right, questions) != "proven" for _ in range(runs))


@pytest.mark.parametrize(
    ("accuracy", "questions", "most"),
    [(1.0, 40, 0), (0.99, 40, 1), (0.98, 40, 5), (0.97, 40, 25), (0.98, 20, 25), (0.98, 100, 2)],
)
def test_healthy_endpoints_are_proven(accuracy: float, questions: int, most: int) -> None:
    """Of 2,000 simulated runs at most so many are false alarms."""
    assert failures(dict.fromkeys(GUESS, accuracy), 2000, questions) <= most


def test_a_weaker_kind_is_forgiven_a_little() -> None:
    """Numbers at 93%, the rest at 99%: at most one run in a hundred is a false alarm."""
    assert failures({**dict.fromkeys(GUESS, 0.99), "number": 0.93}, 1000) <= 10


def test_guessers_are_never_proven() -> None:
    assert failures(GUESS, 1000) == 1000


@pytest.mark.parametrize("kind", ["colour", "shape", "count", "number", "word"])
def test_an_endpoint_blind_to_one_thing_is_not_proven(kind: str) -> None:
    """All else perfect, one kind guessed: at most 3 in 100 escape.

    The luckiest is counting: four of five right at 1/4 each has probability 5 x 0.25^4 x 0.75 + 0.25^5 =
    0.0156.
    """
    assert failures({**dict.fromkeys(GUESS, 1.0), kind: GUESS[kind]}, 1000) >= 970


@pytest.mark.parametrize(("asked", "wanted"), [(40, 36), (20, 18), (45, 41), (1, 1), (80, 72), (50, 45)])
def test_nine_in_ten(asked: int, wanted: int) -> None:
    assert needed(asked) == wanted


@pytest.mark.parametrize(("asked", "wanted"), [(2, 1), (4, 2), (5, 4), (6, 5), (8, 6), (10, 7), (16, 12)])
def test_floor_of_a_kind(asked: int, wanted: int) -> None:
    assert needed_of_kind(asked) == wanted


@pytest.mark.parametrize(("answers", "slow"), [(65, 3), (20, 1), (19, 0), (100, 5)])
def test_slow_answers_that_the_95th_percentile_forgives(answers: int, slow: int) -> None:
    assert slow_allowed(answers) == slow
    sighting = Sighting(seconds=[1.0] * (answers - slow) + [99.0] * slow)
    assert sighting.latency(0.95) == 1.0
    sighting.seconds[0] = 99.0
    assert sighting.latency(0.95) == 99.0


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        ("pppp", True),
        ("pppu", True),
        ("pppf", True),
        ("ppuu", True),
        ("ppff", False),
        ("puuu", False),
        ("ffff", False),
        ("p", True),
        ("u", False),
        ("f", False),
        ("up", True),
        ("", False),
    ],
)
def test_when_a_control_passes(outcomes: str, passed: bool) -> None:
    names = {"p": "passed", "f": "failed", "u": "unclear"}
    trials = tuple(Trial((), names[letter], "") for letter in outcomes)  # type: ignore[arg-type]
    assert Control("blank", "", "", trials).passed is passed
