"""A pool of drawn pictures on disk, which training reads again and again with fresh augmentation."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from canary.draw import draw, random_canvas, square
from canary.prepare import to_pixels
from canary.scene import KINDS, Item, Scene
from canary.vocabulary import SIDE

SHARES: dict[str, float] = {
    "empty": 0.02,
    "shape": 0.17,
    "several": 0.18,
    "mixed": 0.05,
    "number": 0.28,
    "word": 0.3,
}
"""How often each kind is drawn; numbers lean to four digits, which come last in training."""


class Pool:
    """Drawn pictures, array [n, 112, 112, 3] of 0-255 (mapped from disk), and the scene of each."""

    def __init__(self, folder: Path) -> None:
        """Open a pool that `draw_pool` has finished. Raises FileNotFoundError where there is none."""
        self.pixels: NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
        with (folder / "scenes.json").open() as file:
            self.scenes = [_scene(entry) for entry in json.load(file)]


def _scene(entry: dict[str, Any]) -> Scene:
    items = tuple(Item(**item) for item in entry["items"])
    left, top, right, bottom = entry["box"]
    return Scene(
        **{**entry, "items": items, "box": (left, top, right, bottom), "edges": tuple(entry["edges"])}
    )


def draw_one(rng: np.random.Generator, kind: str | None = None) -> tuple[NDArray[np.uint8], Scene]:
    """One picture as the model sees it, array [112, 112, 3], and its scene; of a random kind unless given."""
    if kind is None:
        kind = str(rng.choice(KINDS, p=[SHARES[name] for name in KINDS]))
    canvas = random_canvas(rng)
    picture, scene = draw(rng, kind, canvas)
    resample = Image.Resampling.BILINEAR if rng.random() < 0.15 else Image.Resampling.BICUBIC
    return to_pixels(square(rng, picture, canvas), resample), scene


def _share(folder: str, seed: int, start: int, stop: int) -> list[dict[str, Any]]:
    pixels = np.load(Path(folder) / "pixels.npy", mmap_mode="r+")
    scenes = []
    for index in range(start, stop):
        # Each picture has its own seed, so a pool is the same however many processes drew it.
        pixels[index], scene = draw_one(np.random.default_rng([seed, index]))
        scenes.append(asdict(scene))
    return scenes


def draw_pool(folder: Path, size: int, seed: int, processes: int) -> None:
    """Draw `size` pictures into `folder` (pixels.npy, scenes.json), telling how far it is."""
    folder.mkdir(parents=True, exist_ok=True)
    np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(size, SIDE, SIDE, 3)
    ).flush()
    cuts = np.linspace(0, size, max(2, size // 1000) + 1).astype(int).tolist()
    jobs = [(str(folder), seed, a, b) for a, b in pairwise(cuts)]
    scenes: list[dict[str, Any]] = []
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, initializer=os.nice, initargs=(5,)) as workers:
        for done, part in enumerate(workers.imap(_share_of, jobs), 1):
            scenes += part
            left = (time.monotonic() - began) / done * (len(jobs) - done)
            if done % 5 == 0 or done == len(jobs):
                print(f"drawing: {len(scenes)} of {size} pictures, about {left:.0f} s left", flush=True)
    (folder / "scenes.json").write_text(json.dumps(scenes))


def _share_of(job: tuple[str, int, int, int]) -> list[dict[str, Any]]:
    return _share(*job)
