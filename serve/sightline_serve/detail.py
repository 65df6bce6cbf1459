"""How much of a picture a request wants looked at: OpenAI's image_url.detail."""

from __future__ import annotations

from typing import Literal

from PIL import Image

# original: as it came, which here is what high and auto are too.
Detail = Literal["low", "high", "auto", "original"]
LOW = 512  # pixels a side, as OpenAI documents its low detail


def at_detail(picture: Image.Image, detail: Detail | None) -> Image.Image:
    """`low`: scaled down to fit LOW x LOW, never up. Whether that saves tokens depends on the family."""
    if detail == "low":
        picture.thumbnail((LOW, LOW))
    return picture
