"""Draws scenes with Pillow: many ways of putting the same truth on a picture of 100 to 600 px."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from canary.backgrounds import Colour, background, clear_of, shade
from canary.lettering import lettering
from canary.prepare import GREY, crop_to_square, pad_to_square
from canary.scene import Item, Scene
from canary.shapes import Outline, outline
from canary.vocabulary import COLOUR_NAMES, DIGITS, LETTERS, MAX_COUNT, SHAPES, SIDE, WORDS

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Canvas:
    """The size of a picture, the part the model will see of it, and whether it is padded or cropped to a
    square."""

    width: int
    height: int
    padded: bool

    @property
    def room(self) -> Box:
        """The part of the picture that the model sees: left, top, right, bottom in pixels."""
        if self.padded or self.width == self.height:
            return (0.0, 0.0, float(self.width), float(self.height))
        side = min(self.width, self.height)
        left, top = (self.width - side) / 2, (self.height - side) / 2
        return (left, top, left + side, top + side)

    @property
    def side(self) -> int:
        """The side in pixels of the square that is scaled to the model's 112 px."""
        return max(self.width, self.height) if self.padded else min(self.width, self.height)

    def seen(self, box: Box) -> Box:
        """A box of the picture in the model's 112 px, cut at its edges."""
        side = self.side
        dx, dy = (side - self.width) / 2, (side - self.height) / 2
        scale = SIDE / side
        moved = ((box[0] + dx) * scale, (box[1] + dy) * scale, (box[2] + dx) * scale, (box[3] + dy) * scale)
        return (
            max(0.0, moved[0]),
            max(0.0, moved[1]),
            min(float(SIDE), moved[2]),
            min(float(SIDE), moved[3]),
        )


def random_canvas(rng: np.random.Generator) -> Canvas:
    """Square four times in five; else up to 1.8 times as long as high, or high as long."""
    side = int(np.exp(rng.uniform(np.log(100), np.log(600))))
    if rng.random() < 0.2:
        side = int(rng.choice([112, 128, 200, 224, 256, 300, 336, 400, 448, 512]))
    if rng.random() < 0.8:
        return Canvas(side, side, True)
    other = max(80, int(side / rng.uniform(1.05, 1.8)))
    width, height = (side, other) if rng.random() < 0.75 else (other, side)
    return Canvas(width, height, bool(rng.random() < 0.65))


def _put(
    pen: ImageDraw.ImageDraw, form: Outline, x: float, y: float, scale: int, fill: Colour, edge: Colour | None
) -> None:
    width = max(1, int(0.06 * scale * min(form.half_width, form.half_height))) if edge else 0
    if form.points is None:
        box = [
            (x - form.half_width) * scale,
            (y - form.half_height) * scale,
            (x + form.half_width) * scale,
            (y + form.half_height) * scale,
        ]
        pen.ellipse(box, fill=fill, outline=edge, width=width)
    else:
        points = [((x + px) * scale, (y + py) * scale) for px, py in form.points]
        pen.polygon(points, fill=fill, outline=edge, width=width or 1)


def _place_one(rng: np.random.Generator, room: Box, form: Outline, spill: float) -> tuple[float, float]:
    spread_x = max(0.0, (room[2] - room[0]) / 2 - form.half_width * (1 - spill))
    spread_y = max(0.0, (room[3] - room[1]) / 2 - form.half_height * (1 - spill))
    x, y = (room[0] + room[2]) / 2, (room[1] + room[3]) / 2
    if rng.random() < 0.3:
        return x, y
    return x + float(rng.uniform(-spread_x, spread_x)), y + float(rng.uniform(-spread_y, spread_y))


def _places(
    rng: np.random.Generator, room: Box, count: int, least: float
) -> tuple[list[tuple[float, float]], float]:
    """Centres for `count` shapes that will not touch, and the radius in pixels (from `least`) that they
    may have."""
    width, height = room[2] - room[0], room[3] - room[1]
    order = rng.random()
    if order < 0.3:
        columns = count if order < 0.12 else int(np.ceil(np.sqrt(count)))
        rows = int(np.ceil(count / columns))
        radius = min(width / columns, height / rows) / 2 * float(rng.uniform(0.5, 0.85))
        cells = [
            ((column + 0.5) * width / columns, (row + 0.5) * height / rows)
            for row in range(rows)
            for column in range(columns)
        ][:count]
        return [(room[0] + x, room[1] + y) for x, y in cells], min(radius, 0.35 * min(width, height))
    radius = float(rng.uniform(least, max(least, 0.19 * min(width, height))))
    for _ in range(300):
        x = rng.uniform(room[0] + radius * 1.1, room[2] - radius * 1.1, count)
        y = rng.uniform(room[1] + radius * 1.1, room[3] - radius * 1.1, count)
        apart = [np.hypot(x[i] - x[j], y[i] - y[j]) for i in range(count) for j in range(i)]
        if not apart or min(apart) > 2.25 * radius + 0.02 * min(width, height):
            return list(zip(x.tolist(), y.tolist(), strict=True)), radius
        radius *= 0.99
    raise RuntimeError(f"no room for {count} shapes in {width:.0f} x {height:.0f} px")


def _items(rng: np.random.Generator, kind: str) -> tuple[Item, ...]:
    colour, shape = str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES))
    if kind == "shape":
        return (Item(colour, shape),)
    count = int(rng.integers(1, MAX_COUNT + 1))
    if kind == "several":
        return (Item(colour, shape),) * count
    count = max(2, count)
    colours = rng.permutation(COLOUR_NAMES)[:count]
    return tuple(Item(str(c), str(s)) for c, s in zip(colours, rng.permutation(SHAPES)[:count], strict=True))


def _text(rng: np.random.Generator, kind: str, length: int | None) -> str:
    if kind == "number":
        size = length or int(rng.choice([1, 2, 3, 4], p=[0.1, 0.17, 0.27, 0.46]))
        return (
            "".join(rng.choice(list(DIGITS), size))
            if size == 1
            else str(int(rng.integers(10 ** (size - 1), 10**size)))
        )
    if rng.random() < 0.7 and length is None:
        return str(rng.choice(WORDS))
    size = length or int(rng.choice([3, 4, 5, 6], p=[0.2, 0.25, 0.27, 0.28]))
    return "".join(rng.choice(list(LETTERS), size))


def _draw_shapes(rng: np.random.Generator, canvas: Canvas, kind: str) -> tuple[Image.Image, Scene]:
    items = _items(rng, kind)
    fills = [shade(rng, item.colour) for item in items]
    room, small = canvas.room, min(canvas.width, canvas.height)
    smooth = rng.random() < 0.45
    scale = max(1, min(4, 1000 // max(canvas.width, canvas.height))) if smooth else 1
    picture = background(rng, (canvas.width, canvas.height), fills)
    if scale > 1:
        picture = picture.resize((canvas.width * scale, canvas.height * scale), Image.Resampling.BILINEAR)
    if kind == "shape":
        radius = float(rng.uniform(0.1 * canvas.side, 0.46 * small))
        forms = [outline(rng, items[0].shape, radius)]
        spill = float(rng.uniform(0, 0.35)) if rng.random() < 0.06 else 0.0
        centres = [_place_one(rng, room, forms[0], spill)]
    else:
        centres, radius = _places(rng, room, len(items), 0.08 * canvas.side)
        vary = rng.random() < 0.4
        forms = []
        for item in items:
            size = radius * float(rng.uniform(0.75, 1.0)) if vary else radius
            if forms and kind == "several" and not vary:
                forms.append(forms[0])
            else:
                forms.append(outline(rng, item.shape, size))
    edge: Colour | None = None
    if rng.random() < 0.1 and all(clear_of((0, 0, 0), fill) for fill in fills):
        edge = (0, 0, 0)
    pen = ImageDraw.Draw(picture)
    for form, (x, y), fill in zip(forms, centres, fills, strict=True):
        _put(pen, form, x, y, scale, fill, edge)
    if scale > 1:
        picture = picture.resize((canvas.width, canvas.height), Image.Resampling.BOX)
    box = (
        min(x - f.half_width for f, (x, _) in zip(forms, centres, strict=True)),
        min(y - f.half_height for f, (_, y) in zip(forms, centres, strict=True)),
        max(x + f.half_width for f, (x, _) in zip(forms, centres, strict=True)),
        max(y + f.half_height for f, (_, y) in zip(forms, centres, strict=True)),
    )
    return picture, Scene(kind, items, box=canvas.seen(box))


def _draw_text(
    rng: np.random.Generator, canvas: Canvas, kind: str, length: int | None
) -> tuple[Image.Image, Scene]:
    colour = "black" if rng.random() < 0.35 else str(rng.choice(COLOUR_NAMES))
    fill = shade(rng, colour)
    picture = background(rng, (canvas.width, canvas.height), [fill], apart=130, lighter=55)
    text = _text(rng, kind, length)
    room = canvas.room
    width, height = (room[2] - room[0]) * 0.95, (room[3] - room[1]) * 0.75
    letters = lettering(rng, text, (width, height), 15.0 * canvas.side / SIDE)
    mask = letters.mask
    x = room[0] + float(rng.uniform(0, max(1.0, room[2] - room[0] - mask.width)))
    y = room[1] + float(rng.uniform(0, max(1.0, room[3] - room[1] - mask.height)))
    picture.paste(fill, (int(x), int(y)), mask)
    box = canvas.seen((int(x), int(y), int(x) + mask.width, int(y) + mask.height))
    return picture, Scene(kind, text=text, text_colour=colour, box=box, edges=letters.edges)


def draw(
    rng: np.random.Generator, kind: str, canvas: Canvas | None = None, length: int | None = None
) -> tuple[Image.Image, Scene]:
    """One random picture of `kind` (one of `scene.KINDS`) and its truth; `length` fixes how long a text is.

    Raises ValueError for an unknown kind.
    """
    canvas = canvas or random_canvas(rng)
    if kind == "empty":
        return background(rng, (canvas.width, canvas.height), []), Scene("empty")
    if kind in ("shape", "several", "mixed"):
        picture, scene = _draw_shapes(rng, canvas, kind)
    elif kind in ("number", "word"):
        picture, scene = _draw_text(rng, canvas, kind, length)
    else:
        raise ValueError(f"unknown kind of picture {kind!r}")
    if rng.random() < 0.25:
        kept = io.BytesIO()
        picture.save(kept, "JPEG", quality=int(rng.integers(60, 96)))
        picture = Image.open(kept).convert("RGB")
    return picture, scene


def square(rng: np.random.Generator, picture: Image.Image, canvas: Canvas) -> Image.Image:
    """The picture as a square, the way that `canvas` says; padding is now and then another engine's
    colour."""
    if not canvas.padded:
        return crop_to_square(picture)
    bars = ((122, 116, 104), (0, 0, 0), (255, 255, 255))[int(rng.integers(3))] if rng.random() < 0.3 else GREY
    return pad_to_square(picture, bars)
