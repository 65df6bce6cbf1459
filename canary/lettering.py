"""Masks of text in several fonts: the bitmap font, Pillow's own scalable font, DejaVu where it is
installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from canary.glyphs import text_bitmap

_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
_FAMILIES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSansCondensed-Bold.ttf")


@cache
def _installed() -> tuple[Path, ...]:
    return tuple(_DEJAVU / name for name in _FAMILIES if (_DEJAVU / name).is_file())


@cache
def _font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is not None:
        return ImageFont.truetype(str(path), size)
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "this Pillow was built without FreeType: its scalable font is missing; install a wheel"
        )
    return font


@dataclass(frozen=True)
class Lettering:
    """A mask of text (mode L) and where its characters begin and end, as shares (0-1) of its width: [n +
    1]."""

    mask: Image.Image
    edges: tuple[float, ...]

    def sized(
        self, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BICUBIC
    ) -> Lettering:
        """The same at another width and height in pixels."""
        return Lettering(self.mask.resize(size, resample), self.edges)


def _written(text: str, path: Path | None, size: int, bold: int, smooth: bool, spacing: float) -> Lettering:
    font = _font(path, size)
    mask = Image.new("L", (int(size * (1.2 + spacing) * len(text)) + size, size * 2), 0)
    pen = ImageDraw.Draw(mask)
    pen.fontmode = "L" if smooth else "1"
    if spacing:
        x = size * 0.3
        for character in text:
            pen.text((x, size * 0.3), character, fill=255, font=font, stroke_width=bold)
            x += font.getlength(character) + spacing * size
        steps = np.cumsum([0.0, *(font.getlength(character) + spacing * size for character in text)])
    else:
        pen.text((size * 0.3, size * 0.3), text, fill=255, font=font, stroke_width=bold)
        steps = np.array([font.getlength(text[:index]) for index in range(len(text) + 1)])
    return Lettering(mask.crop(mask.getbbox()), tuple((steps / steps[-1]).tolist()))


def lettering(rng: np.random.Generator, text: str, room: tuple[float, float], least: float) -> Lettering:
    """`text` at a random size, font, weight and spacing.

    `room` is the width and height in pixels that it may fill, `least` the height in pixels that capitals
    should at least have; a long text takes the room's width if it must be smaller.
    """
    bitmap = rng.random() < 0.2
    path, bold, spacing, smooth = None, 0, 0.0, True
    if bitmap:
        draft = Lettering(
            Image.fromarray(text_bitmap(text) * np.uint8(255)),
            tuple(np.linspace(0, 1, len(text) + 1).tolist()),
        )
    else:
        installed = _installed()
        path = installed[int(rng.integers(len(installed)))] if installed and rng.random() < 0.45 else None
        bold = 1 if rng.random() < 0.3 else 0
        spacing = float(rng.uniform(0.03, 0.25)) if rng.random() < 0.2 else 0.0
        smooth = rng.random() < 0.75
        draft = _written(text, path, 24, bold, smooth, spacing)
    aspect = draft.mask.width / draft.mask.height
    stretch = float(rng.uniform(0.95 if len(text) > 4 else 0.85, 1.2)) if rng.random() < 0.25 else 1.0
    most = min(room[1], room[0] / (aspect * stretch))
    height = float(rng.uniform(min(least, most * 0.85), most))
    if bitmap:
        scale = max(1, int(height / 7))
        if rng.random() < 0.5 and draft.mask.width * scale <= room[0]:
            return draft.sized((draft.mask.width * scale, 7 * scale), Image.Resampling.NEAREST)
        size = (max(4, round(height * aspect * stretch)), max(7, round(height)))
        return draft.sized(
            size, Image.Resampling.NEAREST if rng.random() < 0.5 else Image.Resampling.BILINEAR
        )
    points = max(8, int(24 * height / draft.mask.height))
    final = _written(text, path, points, bold * (points // int(rng.integers(24, 48))), smooth, spacing)
    if stretch != 1.0:
        final = final.sized((max(4, round(final.mask.width * stretch)), final.mask.height))
    scale_down = min(room[0] / final.mask.width, room[1] / final.mask.height)
    if scale_down < 1.0:
        final = final.sized(
            (max(4, int(final.mask.width * scale_down)), max(6, int(final.mask.height * scale_down)))
        )
    return final
