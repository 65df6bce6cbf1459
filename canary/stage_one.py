"""Stage one: the tower and projector learn to see, as a classifier whose head is thrown away.

Trained end to end from the start, the model learnt colours and then nothing for hundreds of steps; taught to
see first, the language model only has to learn to say what is there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from canary.augment import augment
from canary.cells import EMPTY, SLOTS, character_cells
from canary.model import HEADS, WIDTH, Canary
from canary.optimise import LEARNING_RATE, Optimiser, autocast, cross_entropy
from canary.pool import Pool
from canary.scene import KINDS, Scene
from canary.vocabulary import CHARACTERS, COLOUR_NAMES, LISTED, MAX_COUNT, MAX_TEXT, SHAPES

HELD_OUT = 1000
"""The last pictures of the pool are never trained on."""

_IGNORE = -100
_BLANK = len(CHARACTERS)
_NONE = len(COLOUR_NAMES)


@dataclass(frozen=True)
class Labels:
    """What each picture shows, as class numbers (-100: not asked): kind, colour, shape and count [n],
    characters [n, 6] with a blank class, and for each shape name the colour it has here or none [n, 6]."""

    kind: NDArray[np.int64]
    colour: NDArray[np.int64]
    shape: NDArray[np.int64]
    count: NDArray[np.int64]
    characters: NDArray[np.int64]
    bound: NDArray[np.int64]

    def rows(self, chosen: NDArray[np.int64]) -> Labels:
        """The labels of some pictures."""
        return Labels(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def labels_of(scenes: list[Scene]) -> Labels:
    """The class numbers of all scenes."""
    count = len(scenes)
    kind, colour, shape, number = (np.full(count, _IGNORE, dtype=np.int64) for _ in range(4))
    characters = np.full((count, MAX_TEXT), _IGNORE, dtype=np.int64)
    bound = np.full((count, len(SHAPES)), _IGNORE, dtype=np.int64)
    labels = Labels(kind, colour, shape, number, characters, bound)
    for row, scene in enumerate(scenes):
        labels.kind[row] = KINDS.index(scene.kind)
        if scene.colour:
            labels.colour[row] = COLOUR_NAMES.index(scene.colour)
        if scene.shape:
            labels.shape[row] = SHAPES.index(scene.shape)
        if scene.text:
            labels.characters[row] = [CHARACTERS.index(c) for c in scene.text] + [_BLANK] * (
                MAX_TEXT - len(scene.text)
            )
        else:
            labels.count[row] = scene.count
            labels.bound[row] = _NONE
            for item in scene.items:
                labels.bound[row, SHAPES.index(item.shape)] = COLOUR_NAMES.index(item.colour)
    return labels


class Reader(nn.Module):
    """The throw-away head: one trained query for each thing asked, attending over the 64 picture tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(4 + MAX_TEXT + len(SHAPES), WIDTH) * 0.1)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        sizes = (len(KINDS), len(COLOUR_NAMES), len(SHAPES), MAX_COUNT + 1, _BLANK + 1, _NONE + 1)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, size) for size in sizes)
        self.cell_head = nn.Linear(WIDTH, SLOTS * (EMPTY + 1))

    def cells(self, seen: Tensor) -> Tensor:
        """Picture tokens [n, 64, 128] to logits of the character in each cell [n, 64, 2, classes]."""
        out: Tensor = self.cell_head(seen)
        return out.view(*out.shape[:-1], SLOTS, -1)

    def forward(self, seen: Tensor) -> list[Tensor]:
        """Picture tokens [n, 64, 128] to logits of kind, colour, shape, count, characters and bound
        colours."""
        count, tokens, _ = seen.shape
        size = WIDTH // HEADS
        key = self.key(seen).view(count, tokens, HEADS, size).permute(0, 2, 3, 1)
        value = self.value(seen).view(count, tokens, HEADS, size).transpose(1, 2)
        query = self.queries.view(-1, HEADS, size).transpose(0, 1).to(key.dtype)
        mixed = torch.softmax(query @ key * size**-0.5, -1) @ value
        x = self.norm(self.out(mixed.transpose(1, 2).flatten(2)))
        parts = [x[:, 0], x[:, 1], x[:, 2], x[:, 3], x[:, 4 : 4 + MAX_TEXT], x[:, 4 + MAX_TEXT :]]
        return [head(part) for head, part in zip(self.heads, parts, strict=True)]


def _loss(logits: list[Tensor], labels: Labels) -> Tensor:
    kind, colour, shape, count, characters, bound = logits
    return (
        0.5 * cross_entropy(kind, torch.from_numpy(labels.kind))
        + cross_entropy(colour, torch.from_numpy(labels.colour))
        + cross_entropy(shape, torch.from_numpy(labels.shape))
        + cross_entropy(count, torch.from_numpy(labels.count))
        + 3.0 * cross_entropy(characters.flatten(0, 1), torch.from_numpy(labels.characters).flatten())
        + cross_entropy(bound.flatten(0, 1), torch.from_numpy(labels.bound).flatten())
    )


def _cell_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross entropy over cells with a character, and over empty ones, each group by its own mean."""
    empty = cells == EMPTY
    flat = logits.flatten(0, 2)
    filled = cross_entropy(flat, cells.masked_fill(empty, _IGNORE).flatten())
    return filled + 0.5 * cross_entropy(flat, cells.masked_fill(~empty, _IGNORE).flatten())


def seeing_loss(reader: Reader, seen: Tensor, labels: Labels, cells: Tensor) -> Tensor:
    """All that the reader is asked about pictures' tokens `seen` [n, 64, 128], weighed together."""
    return _loss(reader(seen), labels) + 3.0 * _cell_loss(reader.cells(seen), cells)


@torch.no_grad()
def accuracy(model: Canary, reader: Reader, pool: Pool, labels: Labels) -> dict[str, float]:
    """Share of held-out pictures whose colour, shape, count and whole text the reader tells right."""
    start = len(pool.scenes) - HELD_OUT
    right: dict[str, list[bool]] = {}
    for first in range(start, len(pool.scenes), 100):
        rows = np.arange(first, min(first + 100, len(pool.scenes)))
        pictures = torch.from_numpy(pool.pixels[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with autocast():
            logits = [part.float().argmax(-1).numpy() for part in reader(model.see(pictures))]
        for index, row in enumerate(rows):
            scene = pool.scenes[row]
            if scene.text:
                listed = " listed" if scene.text in LISTED else ""
                name = f"{scene.kind} {len(scene.text)}{listed}"
                right.setdefault(name, []).append(bool((logits[4][index] == labels.characters[row]).all()))
            elif scene.kind in ("shape", "several"):
                for part, truth in (
                    ("colour", labels.colour),
                    ("shape", labels.shape),
                    ("count", labels.count),
                ):
                    place = {"colour": 1, "shape": 2, "count": 3}[part]
                    right.setdefault(part, []).append(bool(logits[place][index] == truth[row]))
    return {name: round(100 * float(np.mean(answers)), 1) for name, answers in sorted(right.items())}


def train_stage_one(
    model: Canary, reader: Reader, pool: Pool, steps: int, batch: int, seed: int
) -> list[float]:
    """Train tower, projector and `reader` for `steps` of `batch` pictures in this process; the losses by tens
    of steps."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    rng = np.random.default_rng([seed, rank, 1])
    optimiser = Optimiser([model.tower, model.projector, reader], steps, LEARNING_RATE)
    trained = len(pool.scenes) - HELD_OUT
    labels = labels_of(pool.scenes)
    textual = np.array([bool(scene.text) for scene in pool.scenes])
    began, losses, recent = time.monotonic(), [], []
    for step in range(steps):
        rows = np.sort(rng.integers(0, trained, batch))
        keep_colour = ~textual[rows] | (rng.random(batch) < 0.3)
        scenes = [pool.scenes[row] for row in rows]
        pictures, moves = augment(rng, pool.pixels[rows], scenes, keep_colour)
        cells = torch.from_numpy(character_cells(scenes, moves))
        wanted = labels.rows(rows)
        wanted.colour[~keep_colour] = _IGNORE
        with autocast():
            loss = seeing_loss(reader, model.see(pictures), wanted, cells)
        whole: Any = loss
        whole.backward()
        optimiser.step()
        recent.append(loss.item())
        if (step + 1) % 10 == 0:
            losses.append(float(np.mean(recent)))
            recent = []
        if rank == 0 and ((step + 1) % 100 == 0 or step + 1 == steps):
            left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
            shown = losses[-1] if losses else float("nan")
            print(
                f"stage 1: step {step + 1} of {steps}, loss {shown:.3f}, about {left / 60:.1f} min left",
                flush=True,
            )
        if rank == 0 and ((step + 1) % 500 == 0 or step + 1 == steps):
            print(f"stage 1: held out {accuracy(model, reader, pool, labels)}", flush=True)
    return losses
