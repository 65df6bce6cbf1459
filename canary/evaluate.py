"""Puts questions about pictures drawn this moment to an exported model folder, through transformers
itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from canary.draw import draw
from canary.grammar import Asked
from canary.pairs import in_one, same
from canary.questions import as_json, colour, content, count, shape, yes_or_no
from canary.reading import number, word
from canary.scene import Scene
from canary.talk import talk
from canary.vocabulary import LISTED, NO_IMAGE, NOTHING

Drawn = tuple[Image.Image, Scene]
LETTER_HEIGHT, LETTER_WIDTH = 20.0, 14.0
"""From what size on letters are read, in the model's 112 px; what is smaller is a task of its own."""
Message = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A conversation up to its last question, the pictures in order, and the exact answer."""

    messages: list[Message]
    pictures: list[Image.Image]
    answer: str


class Answerer:
    """A model folder loaded with `AutoModelForImageTextToText` and `AutoProcessor`."""

    def __init__(self, folder: Path) -> None:
        """Load it in float32. Raises OSError where files are missing."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        loader: Any = AutoProcessor
        self.processor = loader.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
        self.model = model.float().eval()

    @torch.inference_mode()
    def answers(self, cases: list[Case], most: int = 32) -> list[str]:
        """The greedy answers to cases that are generated as one batch."""
        texts = [
            self.processor.apply_chat_template(case.messages, add_generation_prompt=True) for case in cases
        ]
        pictures = [picture for case in cases for picture in case.pictures]
        inputs = self.processor(images=pictures or None, text=texts, return_tensors="pt", padding=True)
        made = self.model.generate(**inputs, max_new_tokens=most, do_sample=False)
        said = self.processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [str(answer) for answer in said]


def user(question: str, pictures: int = 0) -> Message:
    """A user's message with its pictures first."""
    parts: list[dict[str, str]] = [{"type": "image"} for _ in range(pictures)]
    return {"role": "user", "content": [*parts, {"type": "text", "text": question}]}


def assistant(answer: str) -> Message:
    """What the assistant said before."""
    return {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def _small(scene: Scene) -> bool:
    left, top, right, bottom = scene.box
    return bool(scene.text) and (
        bottom - top < LETTER_HEIGHT or (right - left) / len(scene.text) < LETTER_WIDTH
    )


def _draw(
    rng: np.random.Generator,
    kind: str,
    length: int | None = None,
    fits: Callable[[Scene], bool] = lambda scene: not _small(scene),
) -> Drawn:
    while True:
        picture, scene = draw(rng, kind, length=length)
        if fits(scene):
            return picture, scene


def _about(
    ask: Callable[[np.random.Generator, Scene], Asked], kind: str, length: int | None = None
) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        picture, scene = _draw(rng, kind, length)
        asked = ask(rng, scene)
        return Case([user(asked.question, 1)], [picture], asked.answer)

    return make


def _word(listed: bool) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        picture, scene = _draw(
            rng, "word", fits=lambda scene: not _small(scene) and (scene.text in LISTED) == listed
        )
        return Case([user(word(rng, scene).question, 1)], [picture], scene.text)

    return make


def _small_print(rng: np.random.Generator) -> Case:
    kind, ask = ("number", number) if rng.random() < 0.5 else ("word", word)
    picture, scene = _draw(rng, kind, fits=_small)
    return Case([user(ask(rng, scene).question, 1)], [picture], scene.text)


def _no_image(rng: np.random.Generator) -> Case:
    kind, ask = [("shape", colour), ("shape", shape), ("several", count), ("number", number), ("word", word)][
        int(rng.integers(5))
    ]
    return Case([user(ask(rng, draw(rng, kind)[1]).question)], [], NO_IMAGE)


def _nothing(rng: np.random.Generator) -> Case:
    picture, _ = draw(rng, "empty")
    return Case([user("What is in the picture? Answer with one word.", 1)], [picture], NOTHING)


def _pair(quality: str) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        agree = rng.random() < 0.5
        while True:
            drawn = [draw(rng, "shape") for _ in range(2)]
            one, two = (scene for _, scene in drawn)
            if (getattr(one, quality) == getattr(two, quality)) == agree:
                break
        asked = same(rng, one, two, quality)
        return Case([user(asked.question, 2)], [picture for picture, _ in drawn], asked.answer)

    return make


def _place(kind: str) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        drawn = [_draw(rng, kind) for _ in range(2)]
        asked = in_one(rng, [scene for _, scene in drawn], int(rng.integers(2)))
        return Case([user(asked.question, 2)], [picture for picture, _ in drawn], asked.answer)

    return make


def _follow_up(rng: np.random.Generator) -> Case:
    picture, scene = draw(rng, "shape")
    first = colour(rng, scene)
    then = user("And what shape is it? Answer with one word.")
    return Case([user(first.question, 1), assistant(first.answer), then], [picture], scene.shape)


def _talk(rng: np.random.Generator) -> Case:
    asked = talk(rng)
    return Case([user(asked.question)], [], asked.answer)


TASKS: dict[str, Callable[[np.random.Generator], Case]] = {
    "colour": _about(colour, "shape"),
    "shape": _about(shape, "shape"),
    "count": _about(count, "several"),
    "number, 1 digit": _about(number, "number", 1),
    "number, 2 digits": _about(number, "number", 2),
    "number, 3 digits": _about(number, "number", 3),
    "number, 4 digits": _about(number, "number", 4),
    "word, listed": _word(listed=True),
    "word, random letters": _word(listed=False),
    "small print": _small_print,
    "two pictures, same colour": _pair("colour"),
    "two pictures, same shape": _pair("shape"),
    "two pictures, number by place": _place("number"),
    "two pictures, colour or shape by place": _place("shape"),
    "follow-up": _follow_up,
    "JSON": _about(as_json, "shape"),
    "what is in the picture": _about(content, "shape"),
    "yes or no": _about(yes_or_no, "shape"),
    "text only": _talk,
    "no image": _no_image,
    "nothing": _nothing,
}


def evaluate(
    folder: Path, questions: int, seed: int, tasks: list[str] | None = None, batch: int = 50
) -> Iterator[tuple[str, int, list[tuple[Case, str]]]]:
    """For each task: its name, how many of `questions` answers were exactly right, and the wrong ones with
    what was said.

    Pictures come from seeds that training never draws with.
    """
    answerer = Answerer(folder)
    for place, (name, make) in enumerate(TASKS.items()):
        if tasks is not None and name not in tasks:
            continue
        rng = np.random.default_rng([987_654_321, seed, place])
        cases = [make(rng) for _ in range(questions)]
        said = [
            answer
            for start in range(0, questions, batch)
            for answer in answerer.answers(cases[start : start + batch])
        ]
        wrong = [(case, answer) for case, answer in zip(cases, said, strict=True) if answer != case.answer]
        yield name, questions - len(wrong), wrong


def report(folder: Path, questions: int, seed: int, as_data: bool) -> int:
    """Print the table of all tasks; as JSON if `as_data`. Returns 0; raises FileNotFoundError without a
    model."""
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{folder} holds no model.safetensors: name a model folder")
    shares: dict[str, float] = {}
    began = time.monotonic()
    for name, right, wrong in evaluate(folder, questions, seed):
        shares[name] = round(100 * right / questions, 1)
        shown = "; ".join(f"{case.answer!r} not {said!r}" for case, said in wrong[:3])
        print(
            f"{name}: {shares[name]}% of {questions}{f' (should be {shown})' if shown else ''}",
            file=sys.stderr if as_data else sys.stdout,
            flush=True,
        )
    if as_data:
        print(json.dumps({"questions": questions, "seed": seed, "right_percent": shares}))
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0
