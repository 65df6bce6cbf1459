"""Whole conversations for training: turns with pictures, questions and answers, as token ids with a target
mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from canary.grammar import Asked
from canary.model import TOKENS
from canary.pairs import how_many_pictures, in_one, made_up_pair, same, which_of_two
from canary.questions import ask, follow_up
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
    """Finds pictures in the pool: of a kind, a colour or a shape."""

    def __init__(self, scenes: list[Scene], rows: range) -> None:
        """Index the scenes of these rows."""
        self.scenes = scenes
        self._kinds: dict[str, list[int]] = {}
        self._alike: dict[str, list[int]] = {}
        for row in rows:
            scene = scenes[row]
            self._kinds.setdefault("listed" if scene.text in LISTED else scene.kind, []).append(row)
            if scene.kind in ("shape", "several"):
                self._alike.setdefault(scene.colour, []).append(row)
                self._alike.setdefault(scene.shape, []).append(row)
                if scene.kind == "shape":
                    self._alike.setdefault(f"one {scene.colour}", []).append(row)
                    self._alike.setdefault(f"one {scene.shape}", []).append(row)

    def of_kind(self, rng: np.random.Generator, kind: str) -> int:
        """A row whose scene is of this kind; of words, three in four from the list."""
        if kind == "word" and "listed" in self._kinds and (rng.random() < 0.75 or "word" not in self._kinds):
            kind = "listed"
        rows = self._kinds[kind]
        return rows[int(rng.integers(len(rows)))]

    def alike(self, rng: np.random.Generator, name: str) -> int:
        """A row whose scene has this colour or shape (`one red`: a single shape of it)."""
        rows = self._alike[name]
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


def _pair(rng: np.random.Generator, chooser: Chooser) -> Turn:
    kind = str(rng.choice(["colour", "shape", "number", "which", "place"], p=[0.25, 0.25, 0.04, 0.14, 0.32]))
    if kind in ("colour", "shape"):
        name = str(rng.choice(COLOUR_NAMES if kind == "colour" else SHAPES))
        group = "one " if rng.random() < 0.75 else ""
        rows = [chooser.alike(rng, group + name), chooser.alike(rng, group + name)]
        if rng.random() < 0.5:
            other = str(rng.choice([n for n in (COLOUR_NAMES if kind == "colour" else SHAPES) if n != name]))
            rows[int(rng.integers(2))] = chooser.alike(rng, group + other)
        return Turn(same(rng, chooser.scenes[rows[0]], chooser.scenes[rows[1]], kind), rows)
    if kind == "number":
        one, two = chooser.of_kind(rng, "number"), chooser.of_kind(rng, "number")
        rows = [one, one] if rng.random() < 0.5 else [one, two]
        return Turn(same(rng, chooser.scenes[rows[0]], chooser.scenes[rows[1]], "number"), rows)
    if kind == "which":
        while True:
            rows = [chooser.of_kind(rng, str(rng.choice(["shape", "several"]))) for _ in range(2)]
            first, second = (chooser.scenes[row] for row in rows)
            if any(getattr(first, part) != getattr(second, part) for part in ("colour", "shape", "count")):
                return Turn(which_of_two(rng, first, second), rows)
    number = 3 if rng.random() < 0.12 else 2
    kinds = ["shape", "several", "number", "word"]
    shared = str(rng.choice(kinds, p=[0.35, 0.15, 0.28, 0.22]))
    rows = [
        chooser.of_kind(rng, shared if rng.random() < 0.8 else str(rng.choice(kinds))) for _ in range(number)
    ]
    if rng.random() < 0.03:
        return Turn(how_many_pictures(rng, number), rows)
    return Turn(in_one(rng, [chooser.scenes[row] for row in rows], int(rng.integers(number))), rows)


def several(rng: np.random.Generator, chooser: Chooser) -> list[Turn]:
    """Two or three pictures: in one prompt, or a new picture in a later turn."""
    if rng.random() < 0.14:
        rows = [chooser.of_kind(rng, str(rng.choice(_KINDS, p=_KIND_SHARES))) for _ in range(2)]
        return [Turn(ask(rng, chooser.scenes[row]), [row]) for row in rows]
    first = _pair(rng, chooser)
    turns, scenes = [first], [chooser.scenes[row] for row in first.pictures]
    if rng.random() < 0.5 and all(scene.kind not in ("empty", "mixed") for scene in scenes):
        turns.append(Turn(in_one(rng, scenes, int(rng.integers(len(scenes))))))
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


def encode(rng: np.random.Generator, tokenizer: Tokenizer, turns: list[Turn]) -> tuple[list[int], list[bool]]:
    """Token ids of the conversation in ChatML, every picture 64 image tokens, and which ids are to be
    predicted (the answers and the token that ends each)."""
    image, end = token_id(tokenizer, IMAGE), token_id(tokenizer, END)
    ids: list[int] = []
    wanted: list[bool] = []

    def add(text: str, answer: bool = False) -> None:
        for token in tokenizer.encode(text, add_special_tokens=False).ids:
            repeat = TOKENS if token == image else 1
            ids.extend([token] * repeat)
            wanted.extend([answer] * repeat)

    if rng.random() < 0.12:
        add(f"{START}system\n{SYSTEM_PROMPTS[int(rng.integers(len(SYSTEM_PROMPTS)))]}{END}\n")
    for turn in turns:
        add(f"{START}user\n{_user(rng, turn)}{END}\n{START}assistant\n")
        add(turn.asked.answer, answer=True)
        ids.append(end)
        wanted.append(True)
        add("\n")
    return ids, wanted
