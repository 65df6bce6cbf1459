"""Shades of the named colours, and backgrounds that leave what is drawn on them visible."""

from __future__ import annotations

import numpy as np
from PIL import Image

from canary.vocabulary import COLOURS

Colour = tuple[int, int, int]


def shade(rng: np.random.Generator, name: str) -> Colour:
    """A shade (RGB, 0-255) that people call by this name: an anchor exactly, or a little off it."""
    anchors = COLOURS[name]
    anchor = anchors[0] if rng.random() < 0.3 else anchors[int(rng.integers(len(anchors)))]
    if rng.random() < 0.5:
        return anchor
    jitter = (
        rng.integers(-12, 13, 3)
        if name not in ("white", "black", "gray")
        else np.repeat(rng.integers(-8, 9), 3)
    )
    red, green, blue = (int(v) for v in np.clip(np.array(anchor) + jitter, 0, 255))
    return (red, green, blue)


def _luma(colour: Colour) -> float:
    """Brightness 0-255 by the weights of ITU-R BT.601."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def clear_of(one: Colour, other: Colour, apart: float = 62.0, lighter: float = 0.0) -> bool:
    """Whether two colours lie `apart` (Euclidean distance in RGB) and differ by `lighter` in brightness at
    least."""
    distance = float(np.linalg.norm(np.subtract(one, other, dtype=np.float64)))
    return distance >= apart and abs(_luma(one) - _luma(other)) >= lighter


def _candidate(rng: np.random.Generator) -> Colour:
    choice = rng.random()
    if choice < 0.5:
        return (255, 255, 255)
    if choice < 0.8:
        light = rng.integers(195, 256, 3) if choice < 0.65 else np.repeat(rng.integers(200, 252), 3)
        return (int(light[0]), int(light[1]), int(light[2]))
    if choice < 0.86:
        dark = rng.integers(0, 60, 3)
        return (int(dark[0]), int(dark[1]), int(dark[2]))
    any_colour = rng.integers(0, 256, 3)
    return (int(any_colour[0]), int(any_colour[1]), int(any_colour[2]))


def _field(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A grey picture (mode L) that says how much of a second colour each place has."""
    kind = rng.random()
    if kind < 0.4:
        gradient = Image.linear_gradient("L").rotate(90 * int(rng.integers(4)))
        return gradient.resize(size)
    cells = int(rng.integers(3, 12))
    if kind < 0.7:
        noise = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
        return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    if kind < 0.85:
        stripes = (np.arange(2 * cells) % 2 * 255).astype(np.uint8)
        pattern = np.tile(stripes, (2, 1)) if rng.random() < 0.5 else np.tile(stripes[:, None], (1, 2))
    else:
        pattern = (np.indices((2 * cells, 2 * cells)).sum(0) % 2 * 255).astype(np.uint8)
    return Image.fromarray(pattern).resize(size, Image.Resampling.NEAREST)


def background(
    rng: np.random.Generator,
    size: tuple[int, int],
    drawn: list[Colour],
    apart: float = 62.0,
    lighter: float = 0.0,
) -> Image.Image:
    """A background of `size` (width, height), plain or faintly patterned, clear of all that is drawn (see
    `clear_of`)."""
    base = _candidate(rng)
    for _ in range(100):
        if all(clear_of(base, colour, apart, lighter) for colour in drawn):
            break
        base = _candidate(rng)
    else:
        base = max(
            ((255, 255, 255), (0, 0, 0)), key=lambda bare: min(abs(_luma(bare) - _luma(c)) for c in drawn)
        )
    plain = Image.new("RGB", size, base)
    if rng.random() < 0.8:
        return plain
    second = np.clip(np.array(base) + rng.integers(-32, 33, 3), 0, 255)
    other = (int(second[0]), int(second[1]), int(second[2]))
    if not all(clear_of(other, colour, apart, lighter) for colour in drawn):
        return plain
    return Image.composite(Image.new("RGB", size, other), plain, _field(rng, size))
