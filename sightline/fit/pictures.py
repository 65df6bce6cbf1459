"""How many tokens, cross-attention states and patches one picture makes, by the rule of its family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.fit.architecture import Architecture
from sightline.fit.errors import CannotEstimate

CROP_TOKENS = 144
"""Tokens of one 336-pixel crop in Phi-3-vision: 24 x 24 patches, each 2 x 2 of them joined."""


@dataclass(frozen=True, slots=True)
class PictureCost:
    """What one picture makes.

    `text_tokens` lie in the context beside the words, `cross_states` are what cross-attention layers keep of
    it, `patches` what the vision tower computes on, and `parts` how many pieces these patches attend within.
    """

    text_tokens: int
    cross_states: int
    patches: int
    parts: int


def picture_cost(architecture: Architecture, width: int, height: int) -> PictureCost:
    """Return the cost of one picture of `width` x `height` pixels.

    Raises:
        CannotEstimate: the catalogue names a rule for which there is no formula here.
    """
    rule = architecture.picture_rule
    match rule["rule"]:
        case "fixed":
            # LLaVA drops the class token's state after the tower; the tower computes on it too.
            return PictureCost(rule["tokens"], 0, rule["tokens"] + 1, 1)
        case "cross_tiles":
            tiles = rule["max_tiles"]
            states = tiles * rule["tokens_per_tile"]
            return PictureCost(rule["text_tokens"], states, tiles * _up_to(rule["tokens_per_tile"], 8), 1)
        case "hd_crops":
            rows, columns = hd_crops(width, height, rule["max_crops"])
            patches = (rule["crop"] // architecture.vision.patch_size) ** 2 + 1
            crops = rows * columns + 1
            return PictureCost(hd_crop_tokens(rows, columns), 0, crops * patches, crops)
        case "grid":
            tokens = grid_tokens(width, height, rule)
            merged = (rule["cell"] // architecture.vision.patch_size) ** 2
            return PictureCost(tokens, 0, tokens * merged, 1)
    raise CannotEstimate(
        f"there is no formula for the picture rule {rule['rule']!r}",
        "add it to sightline/fit/pictures.py with its source",
    )


def hd_crops(width: int, height: int, max_crops: int) -> tuple[int, int]:
    """Return rows and columns of 336-pixel crops that Phi-3-vision scales a picture to.

    The longer side gets as many crops as the whole keeps to `max_crops`; the shorter follows and is padded.
    Source: image_processing_phi3_v.py of microsoft/Phi-3-vision-128k-instruct (HD_transform).
    """
    ratio = max(width, height) / min(width, height)
    long = 1
    while (long + 1) * math.ceil((long + 1) / ratio) <= max_crops:
        long += 1
    short = max(1, math.ceil(int(long * 336 / ratio) / 336))
    return (short, long) if width >= height else (long, short)


def hd_crop_tokens(rows: int, columns: int) -> int:
    """Return Phi-3-vision's tokens for rows x columns crops: (h w + 1) 144 + 1 + (h + 1) 12.

    All crops and the whole picture once, a separator, and a line end after each of 12 rows of tokens of each
    row of crops and of the whole. Source: processing_phi3_v.py of microsoft/Phi-3-vision-128k-instruct.
    """
    return (rows * columns + 1) * CROP_TOKENS + 1 + (rows + 1) * 12


def grid_tokens(width: int, height: int, rule: Mapping[str, Any]) -> int:
    """Return Qwen-VL's tokens: (h / cell) (w / cell), with both sides rounded to multiples of `cell`.

    A picture beyond `max_pixels` or below `min_pixels` is scaled first, keeping its shape. Source:
    smart_resize in transformers' image_processing_qwen2_vl.py.
    """
    cell = int(rule["cell"])
    rows, columns = max(1, round(height / cell)), max(1, round(width / cell))
    pixels = rows * columns * cell**2
    if pixels > rule["max_pixels"]:
        scale = math.sqrt(width * height / rule["max_pixels"])
        rows, columns = (max(1, math.floor(side / scale / cell)) for side in (height, width))
    elif pixels < rule["min_pixels"]:
        scale = math.sqrt(rule["min_pixels"] / (width * height))
        rows, columns = (math.ceil(side * scale / cell) for side in (height, width))
    return rows * columns


def _up_to(count: int, multiple: int) -> int:
    """mllama pads the states of a tile to a multiple of 8 (transformers' modeling_mllama.py)."""
    return math.ceil(count / multiple) * multiple
