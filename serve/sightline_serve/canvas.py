"""A decoded picture of any mode, laid on white RGB, upright and no larger than a model can use.

It goes strip by strip: a whole copy of a large picture in another mode would take its memory twice and
three times over.
"""

from __future__ import annotations

from PIL import Image
from PIL.Image import Transpose

# A longer side is divided by the least whole number that brings it to this: at least 2049 pixels are left,
# and the towers served here look at fewer.
MAX_SIDE = 4096
STRIP_PIXELS = 1_000_000

ORIENTATION = 0x0112
# Exif 2.32, tag Orientation: what undoes each value.
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def upright_on_white(picture: Image.Image) -> Image.Image:
    """`picture` as RGB, transparency on white, turned as its EXIF says, both sides at most MAX_SIDE."""
    width, height = picture.size
    factor = -(-max(width, height) // MAX_SIDE)
    out = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, STRIP_PIXELS // (width * factor)) * factor  # whole rows of the result
    for top in range(0, height, rows):
        strip = _on_white(picture.crop((0, top, width, min(height, top + rows))))
        out.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    turn = UPRIGHT.get(picture.getexif().get(ORIENTATION, 1))
    return out if turn is None else out.transpose(turn)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = _to_eight_bits(picture)
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Sixteen-bit grey keeps its upper byte; Pillow's own conversion would clip all above 255."""
    import numpy as np

    return Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
