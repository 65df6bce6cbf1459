"""The watcher's pictures: one shape of one colour on white, drawn anew for every question."""

from __future__ import annotations

import base64
import random
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

QUESTION = "What colour is the shape? Answer with one word."
SIDE = 224
ANSWER_TOKENS = 8

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 25, 30),
    "yellow": (250, 220, 20),
    "green": (30, 145, 50),
    "blue": (25, 65, 225),
    "purple": (130, 30, 165),
    "black": (15, 15, 15),
}
"""Six that nobody names otherwise, RGB 0-255: prove's own values (sightline/prove/vocabulary.py)."""

OTHER_WORDS = {"violet": "purple", "navy": "blue", "crimson": "red", "scarlet": "red", "gold": "yellow"}


def draw(colour: str, rng: random.Random) -> bytes:
    """A disc, square or triangle of `colour` as PNG, 224 x 224, its place and size a little different each
    time."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    canvas = ImageDraw.Draw(picture)
    half = rng.randint(45, 70)
    x, y = rng.randint(half + 8, SIDE - half - 8), rng.randint(half + 8, SIDE - half - 8)
    box = (x - half, y - half, x + half, y + half)
    match rng.choice(("disc", "square", "triangle")):
        case "disc":
            canvas.ellipse(box, fill=COLOURS[colour])
        case "square":
            canvas.rectangle(box, fill=COLOURS[colour])
        case _:
            corners = [(x, y - half), (x - half, y + half), (x + half, y + half)]
            canvas.polygon(corners, fill=COLOURS[colour])
    png = BytesIO()
    picture.save(png, "PNG")
    return png.getvalue()


def request_body(model: str, png: bytes) -> dict[str, Any]:
    """The chat request that asks about the picture."""
    url = "data:image/png;base64," + base64.b64encode(png).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
    return {
        "model": model,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "messages": [{"role": "user", "content": content}],
    }


def names(answer: str) -> set[str]:
    """The colours that an answer names."""
    words = "".join(letter if letter.isalpha() else " " for letter in answer.lower()).split()
    known = [OTHER_WORDS.get(word, word) for word in words]
    return {word for word in known if word in COLOURS}
