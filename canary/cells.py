"""Where characters stand, as a map of small cells: a dense lesson that teaches the tower to read quickly.

Asked only for whole words, the tower took thousands of steps to begin to read; asked what stands at each
place, it gets dozens of lessons from every picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from canary.scene import Scene
from canary.vocabulary import CHARACTERS, PATCH, SIDE

SLOTS = 2
"""Cells in one patch, side by side: small characters are narrower than a patch."""

ROWS = SIDE // PATCH
COLUMNS = SLOTS * ROWS
EMPTY = len(CHARACTERS)


def character_cells(scenes: list[Scene], moves: NDArray[np.float32]) -> NDArray[np.int64]:
    """The character that covers each cell's centre after the augmentation `moves` [n, 2, 3]: classes
    [n, 64, 2] in the order of patches, `EMPTY` where there is none, -100 throughout a picture without
    text."""
    cells = np.full((len(scenes), ROWS, COLUMNS), -100, dtype=np.int64)
    for index, scene in enumerate(scenes):
        if not scene.text:
            continue
        cells[index] = EMPTY
        inverse = np.linalg.inv(moves[index, :, :2])
        left, top, right, bottom = scene.box
        x = left + np.array(scene.edges) * (right - left)
        corners = np.stack([np.concatenate([x, x]), np.repeat([top, bottom], len(x))], 1) * (2 / SIDE) - 1
        placed = ((corners - moves[index, :, 2]) @ inverse.T + 1) * (SIDE / 2)
        upper, lower = placed[: len(x)], placed[len(x) :]
        for place, character in enumerate(scene.text):
            four = np.stack([upper[place], upper[place + 1], lower[place], lower[place + 1]])
            middle = four.mean(0)
            reach = np.abs(four - middle).mean(0)
            cells[(index, *_covered(middle, reach))] = CHARACTERS.index(character)
        # The middle of a character counts even where a wide neighbour reaches over it.
        middles = (upper[:-1] + upper[1:] + lower[:-1] + lower[1:]) / 4
        for place, character in enumerate(scene.text):
            cells[(index, *_covered(middles[place], np.zeros(2)))] = CHARACTERS.index(character)
    return cells.reshape(len(scenes), ROWS * ROWS, SLOTS)


def _covered(middle: NDArray[np.float64], reach: NDArray[np.float64]) -> tuple[slice, slice]:
    width, height = SIDE / COLUMNS, SIDE / ROWS
    columns = _span(middle[0] - reach[0], middle[0] + reach[0], middle[0], width, COLUMNS)
    return _span(middle[1] - reach[1], middle[1] + reach[1], middle[1], height, ROWS), columns


def _span(low: float, high: float, middle: float, size: float, count: int) -> slice:
    """The cells whose centres lie from low to high, or the one that holds the middle if there is none."""
    first, last = int(np.ceil(low / size - 0.5)), int(np.floor(high / size - 0.5))
    if first > last:
        first = last = int(middle // size)
    return slice(min(max(first, 0), count - 1), min(max(last, 0), count - 1) + 1)
