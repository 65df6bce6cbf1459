"""Small files of very many pixels."""

from __future__ import annotations

from functools import cache

from PIL import Image

from tests.serve.drawing import encoded

SIDE = 13_000

# What: format, mode, and how it is written.
KINDS = {
    "PNG, one bit": ("PNG", "1", {}),
    "PNG, RGB": ("PNG", "RGB", {}),
    "PNG, RGBA": ("PNG", "RGBA", {}),
    "GIF": ("GIF", "P", {}),
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True}),
    "WebP": ("WEBP", "RGB", {"method": 0}),
}


@cache
def bomb(kind: str, side: int = SIDE) -> bytes:
    """`side` x `side` pixels of one colour in a file of less than 3 MB."""
    form, mode, options = KINDS[kind]
    colour = {"RGBA": (255, 0, 0, 128), "RGB": (255, 0, 0)}.get(mode, 0)
    return encoded(Image.new(mode, (side, side), colour), form, **options)
