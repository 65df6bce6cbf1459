"""Pictures whose answer is known, drawn from a seed, each with its question."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tests.serve.drawing import ask, data_url, encoded

COLOUR = "What colour is the shape? Answer with one word."
SHAPE = "What shape is in the picture? Answer with one word."
NUMBER = "What number is written in the picture? Answer with the digits only."
DESCRIBE = "Describe the shape as JSON with the keys color and shape."
INK = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 30),
    "orange": (255, 140, 0),
    "purple": (128, 0, 160),
    "black": (0, 0, 0),
    "brown": (120, 70, 20),
}
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
    for number in range(each):
        colour, shape = chance.choice(list(INK)), chance.choice(["circle", "square", "triangle"])
        url = data_url(encoded(_shape(chance, colour, shape), chance.choice(FORMS)))
        described = json.dumps({"color": colour, "shape": shape})
        made.append(Case(f"colour {number}", ask(COLOUR, url, max_tokens=8), colour))
        made.append(Case(f"shape {number}", ask(SHAPE, url, max_tokens=8), shape))
        made.append(Case(f"json {number}", ask(DESCRIBE, url, max_tokens=40), described))
        digits = str(chance.randrange(1000))
        made.append(Case(f"number {number}", ask(NUMBER, data_url(_number(digits)), max_tokens=8), digits))
        other = chance.choice([name for name in INK if name != colour])
        second = data_url(encoded(_shape(chance, other, "circle")))
        place, answer = chance.choice([("first", colour), ("second", other)])
        question = f"What colour is the shape in the {place} picture? Answer with one word."
        made.append(Case(f"two pictures {number}", ask(question, url, second, max_tokens=8), answer))
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


def _number(digits: str) -> bytes:
    picture = Image.new("RGB", (448, 448), "white")
    font = ImageFont.load_default(150)
    ImageDraw.Draw(picture).text((224, 224), digits, fill="black", font=font, anchor="mm")
    return encoded(picture)
