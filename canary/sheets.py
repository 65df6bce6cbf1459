"""Sheets for training: the same pictures with many questions that do not see one another.

A picture is 64 tokens and a question with its answer about 30, so asking one question at a time spends most
of the work on pictures. On a sheet the questions share the pictures and each stands, by its positions and by
what it may attend to, where it would stand alone: five questions about a picture cost a third of five
conversations, seven about a pair a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from canary.conversation import COMPARED, KIND_SHARES, Chooser, no_picture, two_alike
from canary.grammar import Asked
from canary.pairs import how_many_pictures, in_one, same, which_of_two
from canary.questions import ask, count, which, yes_or_no
from canary.scene import KINDS
from canary.talk import talk


@dataclass(frozen=True)
class Sheet:
    """Pictures (rows of the pool) and the questions about them."""

    pictures: list[int]
    questions: list[Asked]


def about_one(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """One picture and three questions of the tasks that suit it."""
    row = chooser.of_kind(rng, str(rng.choice(KINDS, p=KIND_SHARES)))
    return Sheet([row], [ask(rng, chooser.scenes[row]) for _ in range(3)])


def about_many(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """One picture of several shapes, how many there are, and one question more.

    Counting takes more pictures to learn than any other task, so these sheets are short and there are many.
    """
    row = chooser.of_kind(rng, "several")
    scene = chooser.scenes[row]
    return Sheet([row], [count(rng, scene), ask(rng, scene)])


def about_parts(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """One picture and five questions that need what is asked to be found in it: whether, or which."""
    row = chooser.of_kind(rng, str(rng.choice(["shape", "mixed", "several"], p=[0.4, 0.45, 0.15])))
    scene = chooser.scenes[row]
    askers = [which if scene.kind == "mixed" and rng.random() < 0.6 else yes_or_no for _ in range(5)]
    return Sheet([row], [asker(rng, scene) for asker in askers])


def about_pair(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """Two pictures of shapes and seven questions that compare them or ask about one of them."""
    rows = two_alike(rng, chooser)
    one, two = (chooser.scenes[row] for row in rows)
    questions = [same(rng, one, two, quality) for quality in ("colour", "shape") for _ in range(2)]
    questions += [in_one(rng, [one, two], place) for place in (0, 1)]
    if any(getattr(one, part) != getattr(two, part) for part in COMPARED):
        questions.append(which_of_two(rng, one, two))
    return Sheet(rows, questions)


def by_place(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """Two pictures, or now and then three, and questions about one of them by its place."""
    kinds = ["shape", "several", "number", "word"]
    number = 3 if rng.random() < 0.14 else 2
    shared = str(rng.choice(kinds, p=[0.2, 0.2, 0.36, 0.24]))
    rows = [
        chooser.of_kind(rng, shared if rng.random() < 0.8 else str(rng.choice(kinds))) for _ in range(number)
    ]
    if shared == "number" and rng.random() < 0.15:
        rows[1] = rows[0]
    scenes = [chooser.scenes[row] for row in rows]
    questions = [in_one(rng, scenes, place) for place in range(number) for _ in range(4 - number)]
    if rng.random() < 0.12:
        questions.append(how_many_pictures(rng, number))
    if number == 2 and all(scene.kind == "number" for scene in scenes):
        questions.append(same(rng, scenes[0], scenes[1], "number"))
    return Sheet(rows, questions)


def about_none(rng: np.random.Generator, chooser: Chooser) -> Sheet:
    """No picture: small talk, and questions about pictures that did not come."""
    return Sheet([], [talk(rng) if rng.random() < 0.5 else no_picture(rng, chooser) for _ in range(6)])
