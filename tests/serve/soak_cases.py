"""Pictures whose answer is known, drawn from a seed, each with its question."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from tests.serve.drawing import ask, data_url, encoded
from tests.serve.sights import COLOUR, INK, NUMBER, SHAPE, number

DESCRIBE = "Describe the shape as JSON with the keys color and shape."
FORMS = ("PNG", "JPEG", "WEBP")


@dataclass
class Case:
    """`drawn` is what the picture shows, `alone` what the model said when nobody else asked."""

    name: str
    request: dict[str, Any]
    drawn: str
    alone: str = ""


def cases(chance: random.Random, each: int = 24) -> list[Case]:
    """`each` of every kind of question, all with pictures of their own."""
    made = []
    for index in range(each):
        colour, shape = chance.choice(list(INK)), chance.choice(["circle", "square", "triangle"])
        url = data_url(encoded(_shape(chance, colour, shape), chance.choice(FORMS)))
        described = json.dumps({"color": colour, "shape": shape})
        made.append(Case(f"colour {index}", ask(COLOUR, url, max_tokens=8), colour))
        made.append(Case(f"shape {index}", ask(SHAPE, url, max_tokens=8), shape))
        made.append(Case(f"json {index}", ask(DESCRIBE, url, max_tokens=40), described))
        digits = str(chance.randrange(1000))
        made.append(
            Case(f"number {index}", ask(NUMBER, data_url(encoded(number(digits))), max_tokens=8), digits)
        )
        other = chance.choice([name for name in INK if name != colour])
        second = data_url(encoded(_shape(chance, other, "circle")))
        place, answer = chance.choice([("first", colour), ("second", other)])
        question = f"What colour is the shape in the {place} picture? Answer with one word."
        made.append(Case(f"two pictures {index}", ask(question, url, second, max_tokens=8), answer))
    return made


def _shape(chance: random.Random, colour: str, shape: str) -> Image.Image:
    side = chance.randrange(200, 600)
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    size = side * chance.uniform(0.35, 0.55)
    left, top = chance.uniform(0.1, 0.4) * side, chance.uniform(0.1, 0.4) * side
    right, bottom = left + size, top + size
    match shape:
        case "circle":
            pen.ellipse((left, top, right, bottom), fill=INK[colour])
        case "square":
            pen.rectangle((left, top, right, bottom), fill=INK[colour])
        case _:
            pen.polygon([((left + right) / 2, top), (right, bottom), (left, bottom)], fill=INK[colour])
    return picture
