"""Whole conversations for training: turns with pictures, questions and answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from canary.grammar import Asked
from canary.pairs import how_many_pictures, in_one, made_up_pair, same, which_of_two
from canary.questions import ask, follow_up
from canary.scene import KINDS, Item, Scene
from canary.talk import talk
from canary.vocabulary import COLOUR_NAMES, LISTED, NO_IMAGE, SHAPES

MADE_UP = Scene("shape", (Item("red", "circle"),))
COMPARED = ("colour", "shape", "count")
"""In what two pictures of shapes may differ."""
KIND_SHARES = (0.04, 0.16, 0.12, 0.08, 0.29, 0.31)
"""How often a question is about a picture of each of `scene.KINDS`."""


@dataclass
class Turn:
    """One question with the pictures (rows of the pool) that come with it."""

    asked: Asked
    pictures: list[int] = field(default_factory=list)


class Chooser:
    """Finds pictures in the pool: of a kind, or of a colour and shape."""

    def __init__(self, scenes: list[Scene], rows: range) -> None:
        """Index the scenes of these rows."""
        self.scenes = scenes
        self._kinds: dict[str, list[int]] = {}
        self._alike: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            scene = scenes[row]
            self._kinds.setdefault("listed" if scene.text in LISTED else scene.kind, []).append(row)
            if scene.kind in ("shape", "several") and scene.count < 3:
                self._alike.setdefault((scene.colour, scene.shape), []).append(row)

    @property
    def combinations(self) -> list[tuple[str, str]]:
        """The pairs of colour and shape that `alike` has pictures of."""
        return list(self._alike)

    def of_kind(self, rng: np.random.Generator, kind: str) -> int:
        """A row whose scene is of this kind; of words, six in seven from the list."""
        if kind == "word" and "listed" in self._kinds and (rng.random() < 6 / 7 or "word" not in self._kinds):
            kind = "listed"
        rows = self._kinds[kind]
        return rows[int(rng.integers(len(rows)))]

    def alike(self, rng: np.random.Generator, colour: str, shape: str) -> int:
        """A row whose scene shows one or two shapes of this colour and shape."""
        rows = self._alike[colour, shape]
        return rows[int(rng.integers(len(rows)))]


def single(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """One picture and one to three questions about it."""
    row = chooser.of_kind(rng, str(rng.choice(KINDS, p=KIND_SHARES)))
    scene = chooser.scenes[row]
    turns = [Turn(ask(rng, scene), [row])]
    turns += [Turn(follow_up(rng, scene)) for _ in range(int(rng.choice(3, p=[0.4, 0.42, 0.18])))]
    if rng.random() < 0.06:
        turns.insert(int(rng.integers(len(turns) + 1)), Turn(talk(rng)))
    return turns


def two_alike(rng: np.random.Generator, chooser: Chooser) -> list[int]:
    """Rows of two pictures of shapes that agree in colour about half of the time, and in shape."""
    known = chooser.combinations
    first = known[int(rng.integers(len(known)))]
    for _ in range(20):
        colour = first[0] if rng.random() < 0.48 else str(rng.choice(COLOUR_NAMES))
        shape = first[1] if rng.random() < 0.45 else str(rng.choice(SHAPES))
        if (colour, shape) in known:
            return [chooser.alike(rng, *first), chooser.alike(rng, colour, shape)]
    return [chooser.alike(rng, *first), chooser.alike(rng, *first)]


def compare(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """Two pictures of shapes and three or four questions about them, most of which compare."""
    rows = two_alike(rng, chooser)
    one, two = (chooser.scenes[row] for row in rows)
    if rng.random() < 0.4:
        # Each by itself and then both: what has been said is easier to compare than what is seen.
        quality = ("colour", "shape")[int(rng.integers(2))]
        parts = [in_one(rng, [one, two], place, quality) for place in (0, 1)]
        turns = [Turn(part) for part in (*parts, same(rng, one, two, quality))]
        turns[0].pictures.extend(rows)
        return turns
    asked = [
        same(rng, one, two, "colour"),
        same(rng, one, two, "shape"),
        in_one(rng, [one, two], int(rng.integers(2))),
    ]
    if any(getattr(one, part) != getattr(two, part) for part in COMPARED):
        asked.append(which_of_two(rng, one, two))
    turns = [Turn(asked[int(place)]) for place in rng.permutation(len(asked))]
    turns[0].pictures.extend(rows)
    return turns


def _place(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    number = 3 if rng.random() < 0.14 else 2
    kinds = ["shape", "several", "number", "word"]
    shared = str(rng.choice(kinds, p=[0.2, 0.2, 0.36, 0.24]))
    rows = [
        chooser.of_kind(rng, shared if rng.random() < 0.8 else str(rng.choice(kinds))) for _ in range(number)
    ]
    scenes = [chooser.scenes[row] for row in rows]
    if rng.random() < 0.04:
        return [Turn(how_many_pictures(rng, number), rows)]
    if rng.random() < 0.06:
        rows = [chooser.of_kind(rng, "number")] * 2 if rng.random() < 0.5 else rows[:2]
        scenes = [chooser.scenes[row] for row in rows]
        if all(scene.kind == "number" for scene in scenes):
            return [Turn(same(rng, scenes[0], scenes[1], "number"), rows)]
    turns = [Turn(in_one(rng, scenes, int(place))) for place in rng.permutation(len(rows))[:2]]
    turns[0].pictures.extend(rows)
    return turns


def several(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """Two or three pictures: in one prompt, or a new picture in a later turn."""
    choice = rng.random()
    if choice < 0.1:
        rows = [chooser.of_kind(rng, str(rng.choice(KINDS, p=KIND_SHARES))) for _ in range(2)]
        return [Turn(ask(rng, chooser.scenes[row]), [row]) for row in rows]
    return compare(rng, chooser) if choice < 0.68 else _place(rng, chooser)


def no_picture(rng: np.random.Generator, chooser: Chooser) -> Asked:
    """A question about a picture that did not come."""
    choice = rng.random()
    if choice < 0.72:
        asked = ask(rng, chooser.scenes[chooser.of_kind(rng, str(rng.choice(KINDS, p=KIND_SHARES)))])
    elif choice < 0.86:
        asked = same(rng, MADE_UP, MADE_UP, str(rng.choice(["colour", "shape", "number"])))
    else:
        asked = in_one(rng, [made_up_pair(rng) for _ in range(2)], int(rng.integers(2)))
    return Asked("no image", asked.question, NO_IMAGE)


def without(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """No picture: small talk, or a question about a picture that did not come."""
    return [
        Turn(talk(rng) if rng.random() < 0.5 else no_picture(rng, chooser))
        for _ in range(int(rng.choice([1, 2], p=[0.8, 0.2])))
    ]
