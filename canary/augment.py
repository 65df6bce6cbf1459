"""Fresh variations of pool pictures, on the fly: without them reading only learns the pool by heart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from canary.scene import Scene
from canary.vocabulary import SIDE


def _moves(rng: np.random.Generator, scenes: list[Scene]) -> NDArray[np.float32]:
    """Sampling matrices [n, 2, 3] (output to input, in -1..1) that move, scale and turn within the
    picture."""
    count = len(scenes)
    box = np.array([scene.box for scene in scenes], dtype=np.float32)
    textual = np.array([scene.kind in ("number", "word") for scene in scenes])
    whole = rng.random(count) < 0.45
    # What touches an edge stays there: moved away, the edge's last row would be drawn out behind it.
    touching = (box[:, :2] < 1.5).any(1) | (box[:, 2:] > SIDE - 1.5).any(1)
    whole |= touching
    scale = np.where(whole, 1.0, rng.uniform(0.88, 1.14, count)).astype(np.float32)
    angle = np.where(whole | (rng.random(count) < 0.5), 0.0, np.radians(rng.uniform(-5, 5, count)))
    flip_x = np.where(~textual & (rng.random(count) < 0.5), -1.0, 1.0)
    flip_y = np.where(~textual & (rng.random(count) < 0.5), -1.0, 1.0)
    centre = SIDE / 2
    # A flipped drawing lies mirrored about the centre; from there it may move as far as the edge allows.
    left = np.where(flip_x < 0, SIDE - box[:, 2], box[:, 0]) - centre
    right = np.where(flip_x < 0, SIDE - box[:, 0], box[:, 2]) - centre
    top = np.where(flip_y < 0, SIDE - box[:, 3], box[:, 1]) - centre
    bottom = np.where(flip_y < 0, SIDE - box[:, 1], box[:, 3]) - centre
    shift = np.empty((count, 2), dtype=np.float32)
    for axis, (low, high) in enumerate(((left, right), (top, bottom))):
        least, most = -centre - low * scale, centre - high * scale
        fits = (least < most) & ~touching
        drawn = rng.uniform(np.where(fits, least, 0), np.where(fits, most, 0) + 1e-6)
        small = np.clip(drawn, -20, 20)
        shift[:, axis] = np.where(whole, np.round(np.where(rng.random(count) < 0.5, small, drawn)), drawn)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.stack(
        [np.stack([cos * flip_x, sin * flip_x], 1), np.stack([-sin * flip_y, cos * flip_y], 1)], 1
    )
    offset = -(linear @ (shift * 2 / SIDE)[:, :, None])
    return np.concatenate([linear, offset], 2).astype(np.float32)


def augment(
    rng: np.random.Generator, pixels: NDArray[np.uint8], scenes: list[Scene], keep_colour: NDArray[np.bool_]
) -> tuple[Tensor, NDArray[np.float32]]:
    """Pixels [n, 112, 112, 3] of 0-255 to normalised pictures [n, 3, 112, 112] in -1..1, each varied; and how
    each was moved: matrices [n, 2, 3] from a place in the new picture to its place in the old, in -1..1.

    Where `keep_colour` is false (text whose colour nobody asks for) the channels are permuted and now and
    then inverted, so that reading does not depend on colour.
    """
    count = len(scenes)
    pictures = (
        torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    )
    moves = _moves(rng, scenes)
    grid = functional.affine_grid(torch.from_numpy(moves), [count, 3, SIDE, SIDE], align_corners=False)
    pictures = functional.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    for index in np.flatnonzero(~keep_colour):
        if rng.random() < 0.6:
            pictures[index] = pictures[index][torch.from_numpy(rng.permutation(3))]
        if rng.random() < 0.25:
            pictures[index] = -pictures[index]
    noisy = np.flatnonzero(rng.random(count) < 0.3)
    if len(noisy):
        strength = torch.from_numpy(rng.uniform(0.01, 0.1, len(noisy)).astype(np.float32)).view(-1, 1, 1, 1)
        source = torch.Generator().manual_seed(int(rng.integers(2**31)))
        noise = torch.randn((len(noisy), 3, SIDE, SIDE), generator=source)
        pictures[noisy] += noise * strength
    blurred = np.flatnonzero(rng.random(count) < 0.1)
    if len(blurred):
        padded = functional.pad(pictures[blurred], (1, 1, 1, 1), mode="replicate")
        pictures[blurred] = 0.5 * pictures[blurred] + 0.5 * functional.avg_pool2d(padded, 3, stride=1)
    return pictures.clamp_(-1.0, 1.0), moves
