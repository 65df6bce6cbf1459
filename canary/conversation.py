"""Whole conversations for training: turns with pictures, questions and answers, as token ids with a target
mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from canary.grammar import Asked
from canary.model import TOKENS
from canary.pairs import how_many_pictures, in_one, made_up_pair, same, which_of_two
from canary.questions import ask, follow_up, which, yes_or_no
from canary.scene import Item, Scene
from canary.talk import SYSTEM_PROMPTS, talk
from canary.tokenizer import END, IMAGE, START, token_id
from canary.vocabulary import COLOUR_NAMES, LISTED, NO_IMAGE, SHAPES

MADE_UP = Scene("shape", (Item("red", "circle"),))


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
        """A row whose scene is of this kind; of words, three in four from the list."""
        if kind == "word" and "listed" in self._kinds and (rng.random() < 0.75 or "word" not in self._kinds):
            kind = "listed"
        rows = self._kinds[kind]
        return rows[int(rng.integers(len(rows)))]

    def alike(self, rng: np.random.Generator, colour: str, shape: str) -> int:
        """A row whose scene shows one or two shapes of this colour and shape."""
        rows = self._alike[colour, shape]
        return rows[int(rng.integers(len(rows)))]


_KINDS = ("empty", "shape", "several", "mixed", "number", "word")
_KIND_SHARES = (0.05, 0.26, 0.14, 0.06, 0.26, 0.23)


def single(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """One picture and one to three questions about it."""
    row = chooser.of_kind(rng, str(rng.choice(_KINDS, p=_KIND_SHARES)))
    scene = chooser.scenes[row]
    turns = [Turn(ask(rng, scene), [row])]
    turns += [Turn(follow_up(rng, scene)) for _ in range(int(rng.choice(3, p=[0.4, 0.42, 0.18])))]
    if rng.random() < 0.06:
        turns.insert(int(rng.integers(len(turns) + 1)), Turn(talk(rng)))
    return turns


def _two_alike(rng: np.random.Generator, chooser: Chooser) -> list[int]:
    """Two pictures of shapes that agree in colour about half of the time, and in shape."""
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
    rows = _two_alike(rng, chooser)
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
    if any(getattr(one, part) != getattr(two, part) for part in ("colour", "shape", "count")):
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
        rows = [chooser.of_kind(rng, str(rng.choice(_KINDS, p=_KIND_SHARES))) for _ in range(2)]
        return [Turn(ask(rng, chooser.scenes[row]), [row]) for row in rows]
    return compare(rng, chooser) if choice < 0.68 else _place(rng, chooser)


def relating(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """One picture and two questions that need what is asked to be found in it: whether, or which."""
    row = chooser.of_kind(rng, str(rng.choice(["shape", "mixed", "several"], p=[0.45, 0.4, 0.15])))
    scene = chooser.scenes[row]
    turns = []
    for pictures in ([row], []):
        asker = which if scene.kind == "mixed" and rng.random() < 0.6 else yes_or_no
        turns.append(Turn(asker(rng, scene), pictures))
    return turns


def without(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """No picture: small talk, or a question about a picture that did not come."""
    turns = []
    for _ in range(int(rng.choice([1, 2], p=[0.8, 0.2]))):
        choice = rng.random()
        if choice < 0.5:
            turns.append(Turn(talk(rng)))
            continue
        if choice < 0.86:
            asked = ask(rng, chooser.scenes[chooser.of_kind(rng, str(rng.choice(_KINDS, p=_KIND_SHARES)))])
        elif choice < 0.93:
            asked = same(rng, MADE_UP, MADE_UP, str(rng.choice(["colour", "shape", "number"])))
        else:
            asked = in_one(rng, [made_up_pair(rng) for _ in range(2)], int(rng.integers(2)))
        turns.append(Turn(Asked("no image", asked.question, NO_IMAGE)))
    return turns


def _user(rng: np.random.Generator, turn: Turn) -> str:
    if not turn.pictures:
        return turn.asked.question
    # With its newline as this project's template has it; other servers put the mark alone, or pictures last.
    gap = "\n" if rng.random() < 0.8 else ""
    pictures = (IMAGE + gap) * len(turn.pictures)
    return (
        turn.asked.question + (gap if rng.random() < 0.3 else "") + pictures
        if rng.random() < 0.25
        else pictures + turn.asked.question
    )


def encode(
    rng: np.random.Generator, tokenizer: Tokenizer, turns: list[Turn]
) -> tuple[list[int], list[float]]:
    """Token ids of the conversation in ChatML, every picture 64 image tokens, and each id's weight: zero
    where
    nothing is to be predicted, and for an answer of n tokens (the one that ends it among them) one over the
    root of n, so that all answers of a length weigh alike and long ones do not drown short ones."""
    image, end = token_id(tokenizer, IMAGE), token_id(tokenizer, END)
    ids: list[int] = []
    weights: list[float] = []

    def add(text: str) -> None:
        for token in tokenizer.encode(text, add_special_tokens=False).ids:
            repeat = TOKENS if token == image else 1
            ids.extend([token] * repeat)
            weights.extend([0.0] * repeat)

    if rng.random() < 0.12:
        add(f"{START}system\n{SYSTEM_PROMPTS[int(rng.integers(len(SYSTEM_PROMPTS)))]}{END}\n")
    for turn in turns:
        add(f"{START}user\n{_user(rng, turn)}{END}\n{START}assistant\n")
        answer = [*tokenizer.encode(turn.asked.answer, add_special_tokens=False).ids, end]
        ids.extend(answer)
        weights.extend([len(answer) ** -0.5] * len(answer))
        add("\n")
    return ids, weights
