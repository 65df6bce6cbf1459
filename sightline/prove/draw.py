"""Pictures with content that nobody can know without looking: shapes, counted shapes, numbers, words,
nothing.
"""

from __future__ import annotations

import base64
import io
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from .vocabulary import COLOURS, RGB, SHAPES, WORDS

SIDE = 448
"""Side of every picture, in pixels; square, because some engines crop and others pad."""

_OVERSAMPLING = 2
_LETTER_WIDTH = 0.13
"""Least width of a written letter as a share of the side. A small encoder sees 112 px of a side: with 10 px a
letter a model that sees misreads most six-letter words, with 14 px hardly any (docs/prove.md)."""
_LIGHT_BACKGROUNDS: tuple[RGB, ...] = (
    (255, 255, 255),
    (255, 255, 255),
    (246, 246, 246),
    (255, 250, 238),
    (240, 247, 255),
)
_DARK_BACKGROUNDS: tuple[RGB, ...] = ((40, 60, 95), (70, 75, 85), (35, 85, 60))
_TEXT_COLOURS = ("black", "black", "black", "blue", "red", "green", "purple", "brown")

Point = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """One PNG and the truth about it. `count` is 1 for a single shape; `text` is a number or a word."""

    png: bytes
    caption: str
    colour: str | None = None
    shape: str | None = None
    count: int | None = None
    text: str | None = None

    @property
    def data_url(self) -> str:
        """The picture as a `data:image/png;base64,...` URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def single_shape(rng: random.Random, colour: str, shape: str) -> Picture:
    """One filled shape, 30-60% of the side, anywhere on the picture."""
    size = rng.uniform(0.30, 0.60)
    centre = (_within(rng, size), _within(rng, size))
    image = _render(_background(rng, colour), [(shape, centre, size, _shade(rng, colour))], rng)
    return Picture(image, f"{_a(colour)} {shape}", colour=colour, shape=shape, count=1)


def several_shapes(rng: random.Random, colour: str, shape: str, count: int) -> Picture:
    """`count` (1-4) equal shapes of one colour that do not touch each other."""
    size = rng.uniform(0.18, 0.25)
    centres = _spread(rng, size, count)
    shade = _shade(rng, colour)
    image = _render(_background(rng, colour), [(shape, centre, size, shade) for centre in centres], rng)
    return Picture(
        image, f"{count} {colour} {_plural(shape, count)}", colour=colour, shape=shape, count=count
    )


def number(rng: random.Random, digits: int) -> Picture:
    """A number of `digits` digits, without a leading zero."""
    value = rng.randrange(10 ** (digits - 1), 10**digits)
    return _written(rng, str(value), f"the number {value}")


def word(rng: random.Random, text: str | None = None) -> Picture:
    """A short word in capitals: the one given, or any."""
    text = text or rng.choice(WORDS)
    return _written(rng, text, f"the word {text}")


def blank() -> Picture:
    """An empty white picture."""
    return Picture(_png(Image.new("RGB", (SIDE, SIDE), (255, 255, 255))), "an empty picture", count=0)


def any_colour(rng: random.Random) -> str:
    """One of the eleven basic colours."""
    return rng.choice(list(COLOURS))


def any_shape(rng: random.Random) -> str:
    """One of the six shapes."""
    return rng.choice(SHAPES)


def _written(rng: random.Random, text: str, caption: str) -> Picture:
    big = SIDE * _OVERSAMPLING
    background = rng.choice(_LIGHT_BACKGROUNDS)
    image = Image.new("RGB", (big, big), background)
    pen = ImageDraw.Draw(image)
    width_wanted = big * rng.uniform(max(0.55, _LETTER_WIDTH * len(text)), 0.85)
    height_limit = big * 0.42
    probe = ImageFont.load_default(100)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=probe)
    size = 100 * min(width_wanted / (right - left), height_limit / (bottom - top))
    font = ImageFont.load_default(size)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    margin = big * 0.05
    x = rng.uniform(margin, big - margin - (right - left)) - left
    y = rng.uniform(margin, big - margin - (bottom - top)) - top
    colour = rng.choice(_TEXT_COLOURS)
    pen.text((x, y), text, font=font, fill=_shade(rng, colour))
    return Picture(_png(image), caption, colour=colour, text=text)


def _render(background: RGB, shapes: list[tuple[str, Point, float, RGB]], rng: random.Random) -> bytes:
    big = SIDE * _OVERSAMPLING
    image = Image.new("RGB", (big, big), background)
    pen = ImageDraw.Draw(image)
    for shape, (x, y), size, fill in shapes:
        corners = [(big * (x + size * dx), big * (y + size * dy)) for dx, dy in _outline(shape)]
        if shape == "circle":
            pen.ellipse((corners[0], corners[1]), fill=fill)
        else:
            pen.polygon(corners, fill=fill)
    return _png(image)


def _outline(shape: str) -> list[Point]:
    """Corner points of a shape around (0, 0) inside a box of side 1; for a circle its box's two corners."""
    if shape == "circle":
        return [(-0.5, -0.5), (0.5, 0.5)]
    if shape == "square":
        return [(-0.44, -0.44), (0.44, -0.44), (0.44, 0.44), (-0.44, 0.44)]
    if shape == "rectangle":
        return [(-0.5, -0.26), (0.5, -0.26), (0.5, 0.26), (-0.5, 0.26)]
    if shape == "triangle":
        return [(0.0, -0.46), (0.5, 0.44), (-0.5, 0.44)]
    if shape == "diamond":
        return [(0.0, -0.5), (0.36, 0.0), (0.0, 0.5), (-0.36, 0.0)]
    points = []
    for corner in range(10):
        radius = 0.5 if corner % 2 == 0 else 0.2
        angle = math.pi * (corner / 5 - 0.5)
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


def _spread(rng: random.Random, size: float, count: int) -> list[Point]:
    """`count` centres whose boxes of side `size` keep a clear gap; starts afresh when it has boxed
    itself in.
    """
    gap = size * 1.2
    while True:
        centres: list[Point] = []
        for _ in range(200):
            x, y = _within(rng, size), _within(rng, size)
            if all(max(abs(x - other_x), abs(y - other_y)) >= gap for other_x, other_y in centres):
                centres.append((x, y))
                if len(centres) == count:
                    return centres


def _within(rng: random.Random, size: float) -> float:
    return rng.uniform(size / 2 + 0.03, 1 - size / 2 - 0.03)


def _background(rng: random.Random, colour: str) -> RGB:
    return rng.choice(_DARK_BACKGROUNDS if colour == "white" else _LIGHT_BACKGROUNDS)


def _shade(rng: random.Random, colour: str) -> RGB:
    red, green, blue = (min(255, max(0, channel + rng.randint(-6, 6))) for channel in COLOURS[colour])
    return red, green, blue


def _png(image: Image.Image) -> bytes:
    if image.size != (SIDE, SIDE):
        image = image.reduce(_OVERSAMPLING)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _plural(shape: str, count: int) -> str:
    return shape if count == 1 else f"{shape}s"
