"""From a picture of any size to the model's 112 px square, exactly as the shipped processor does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from canary.vocabulary import SIDE

GREY = (127, 127, 127)
"""What the transformers 5 processor pads a non-square picture with: its mean of 0.5."""


def pad_to_square(picture: Image.Image, colour: tuple[int, int, int] = GREY) -> Image.Image:
    """The picture in the middle of a square of its longer side (transformers 5 and llama.cpp do this)."""
    side = max(picture.size)
    if picture.size == (side, side):
        return picture
    square = Image.new("RGB", (side, side), colour)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def crop_to_square(picture: Image.Image) -> Image.Image:
    """The middle square of the picture (transformers 4 does this, after scaling)."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def to_pixels(
    square: Image.Image, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> NDArray[np.uint8]:
    """A square RGB picture scaled to the model's size: array [112, 112, 3], 0-255."""
    return np.asarray(square.convert("RGB").resize((SIDE, SIDE), resample), dtype=np.uint8)
