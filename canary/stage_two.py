"""Stage two: the language model learns to say what the tower sees; the tower joins after the first third.

The reader of stage one goes on asking beside it, so that the tower reads better until the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch import Tensor, nn

from canary.augment import augment
from canary.cells import character_cells
from canary.conversation import Chooser, several, single, without
from canary.encoding import Encoded, Encoder
from canary.model import Canary
from canary.optimise import LEARNING_RATE, Optimiser, autocast
from canary.pool import Pool
from canary.sheets import about_many, about_none, about_one, about_pair, about_parts, by_place
from canary.stage_one import HELD_OUT, Labels, Reader, labels_of, seeing_loss
from canary.tokenizer import END_OF_TEXT, IMAGE, token_id

SEEING = 0.15
"""Weight of the reader's loss beside the language model's."""
JOINING = 0.4
"""The tower's rate beside the language model's, once it has joined."""

SHEETS = (
    (about_one, 0.28),
    (about_many, 0.35),
    (about_parts, 0.05),
    (about_pair, 0.14),
    (by_place, 0.08),
    (about_none, 0.04),
)
TALKS = ((single, 0.03), (several, 0.02), (without, 0.01))
"""What a batch is made of, as shares."""


@dataclass(frozen=True)
class Group:
    """Sequences of like length, arrays [n, length] (see `Encoded`), and the batch's pictures that they hold,
    in order."""

    ids: Tensor
    weights: Tensor
    positions: Tensor
    branches: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class Batch:
    """Normalised pictures [n, 3, 112, 112], what they show, and the sequences that speak of them."""

    pictures: Tensor
    labels: Labels
    cells: Tensor
    groups: list[Group]


def _group(part: list[tuple[Encoded, list[int]]], filler: int) -> Group:
    length = max(len(one.ids) for one, _ in part)

    def filled(name: str, value: float) -> Tensor:
        rows = [getattr(one, name) for one, _ in part]
        return torch.tensor([row + [value] * (length - len(row)) for row in rows])

    # What fills a row comes last, so nothing that counts sees it.
    return Group(
        filled("ids", filler),
        filled("weights", 0.0),
        filled("positions", 0),
        filled("branches", 0),
        torch.tensor([place for _, places in part for place in places], dtype=torch.long),
    )


def make_batch(
    rng: np.random.Generator,
    pool: Pool,
    sequences: list[Encoded],
    keep_colour: list[bool],
    filler: int,
    varied: bool = True,
) -> Batch:
    """Gather the pictures of sequences and augment them (unless `varied` is off; `keep_colour` says for each
    sequence whether the colour of its texts is asked for), and sort sequences into groups by length."""
    rows: list[int] = []
    keep: list[bool] = []
    placed = []
    for sequence, asked in zip(sequences, keep_colour, strict=True):
        placed.append((sequence, list(range(len(rows), len(rows) + len(sequence.pictures)))))
        rows += sequence.pictures
        keep += [asked or not pool.scenes[row].text for row in sequence.pictures]
    placed.sort(key=lambda one: len(one[0].ids))
    cuts = [len(placed) * part // 4 for part in range(5)] if len(placed) > 4 else [0, len(placed)]
    groups = [_group(placed[a:b], filler) for a, b in pairwise(cuts)]
    pixels, scenes = pool.pixels[np.array(rows, dtype=np.int64)], [pool.scenes[row] for row in rows]
    if not varied:
        pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        moves = np.tile(np.eye(2, 3, dtype=np.float32), (len(rows), 1, 1))
    else:
        pictures, moves = augment(rng, pixels, scenes, np.array(keep))
    labels = labels_of(scenes)
    labels.colour[~np.array(keep)] = -100
    return Batch(pictures.contiguous(), labels, torch.from_numpy(character_cells(scenes, moves)), groups)


class Mixer:
    """Makes the batches of stage two."""

    def __init__(self, tokenizer: Tokenizer, pool: Pool, size: int) -> None:
        """Batches of about `size` sequences about the pool's pictures, without those held out."""
        self._pool, self._encoder = pool, Encoder(tokenizer)
        self._chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT))
        self._filler = token_id(tokenizer, END_OF_TEXT)
        self._sheets = [make for make, share in SHEETS for _ in range(max(1, round(share * size)))]
        self._talks = [make for make, share in TALKS for _ in range(max(1, round(share * size)))]

    def draw(self, rng: np.random.Generator) -> Batch:
        """The next batch."""
        sequences, coloured = [], []
        for make in self._sheets:
            sheet = make(rng, self._chooser)
            sequences.append(self._encoder.sheet(rng, sheet))
            coloured.append(any(asked.text_colour for asked in sheet.questions))
        for talk in self._talks:
            turns = talk(rng, self._chooser)
            sequences.append(self._encoder.conversation(rng, turns))
            coloured.append(any(turn.asked.text_colour for turn in turns))
        return make_batch(rng, self._pool, sequences, coloured, self._filler)


def _predictions(model: Canary, group: Group, seen: Tensor, image: int) -> tuple[Tensor, Tensor]:
    pictures = seen[group.pictures] if len(group.pictures) else None
    states = model.read(group.ids, pictures, image, group.positions, group.branches)
    asked = group.weights[:, 1:] > 0
    return model.lm_head(states[:, :-1][asked]), group.ids[:, 1:][asked]


def batch_loss(
    model: Canary, reader: Reader, batch: Batch, image: int, tower_frozen: bool
) -> tuple[Tensor, Tensor]:
    """Weighed mean cross entropy over all answer tokens of the batch; and the reader's loss about its
    pictures."""
    with torch.set_grad_enabled(not tower_frozen):
        states = model.tower(batch.pictures)
    seen = model.projector(states)
    losses, weights = [], []
    for group in batch.groups:
        logits, truth = _predictions(model, group, seen, image)
        losses.append(nn.functional.cross_entropy(logits.float(), truth, reduction="none"))
        weights.append(group.weights[:, 1:][group.weights[:, 1:] > 0])
    loss = (torch.cat(losses) * torch.cat(weights)).sum() / torch.cat(weights).sum()
    return loss, seeing_loss(reader, seen, batch.labels, batch.cells)


@torch.no_grad()
def accuracy(
    model: Canary, tokenizer: Tokenizer, pool: Pool, questions: int, seed: int = 0
) -> dict[str, float]:
    """Percentage of first answers about held-out pictures that greedy decoding gives exactly, by task."""
    rng = np.random.default_rng([seed, 2])
    chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT, len(pool.scenes)))
    encoder, filler = Encoder(tokenizer), token_id(tokenizer, END_OF_TEXT)
    right: dict[str, list[bool]] = {}
    image = token_id(tokenizer, IMAGE)
    for index in range(questions):
        turns = (single, single, several, without)[index % 4](rng, chooser)[:1]
        sequence = encoder.conversation(rng, turns)
        with autocast():
            if sequence.pictures:
                batch = make_batch(rng, pool, [sequence], [True], filler, varied=False)
                group, seen = batch.groups[0], model.see(batch.pictures)
            else:
                group, seen = _group([(sequence, [])], filler), torch.empty(0)
            logits, truth = _predictions(model, group, seen, image)
        task = turns[0].asked.task
        if task in ("number", "word") and turns[0].pictures:
            task = f"{task} {len(turns[0].asked.answer)}"
        right.setdefault(task, []).append(bool((logits.argmax(-1) == truth).all()))
    return {task: round(100 * float(np.mean(answers)), 1) for task, answers in sorted(right.items())}


def train_stage_two(
    model: Canary,
    reader: Reader,
    tokenizer: Tokenizer,
    pool: Pool,
    steps: int,
    batch: int,
    seed: int,
    keep: Callable[[], None],
    report_every: int = 300,
) -> list[float]:
    """Train the whole model for `steps` of about `batch` sequences in this process; the losses by tens of
    steps.

    `keep` is called in the first process at every report, to store what there is.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    rng = np.random.default_rng([seed, rank, 2])
    words = nn.ModuleDict({"text": model.text, "lm_head": model.lm_head})
    speaking = Optimiser([words, model.projector], steps, LEARNING_RATE)
    looking = Optimiser([model.tower, reader], steps, LEARNING_RATE * JOINING)
    image, mixer = token_id(tokenizer, IMAGE), Mixer(tokenizer, pool, batch)
    began = time.monotonic()
    losses: list[float] = []
    recent: list[float] = []
    for step in range(steps):
        drawn = mixer.draw(rng)
        with autocast():
            loss, seeing = batch_loss(model, reader, drawn, image, tower_frozen=step < steps // 3)
        whole: Any = loss + SEEING * seeing
        whole.backward()
        speaking.step()
        looking.step()
        recent.append(loss.item())
        if (step + 1) % 10 == 0:
            losses.append(float(np.mean(recent)))
            recent = []
        if rank == 0 and ((step + 1) % 50 == 0 or step + 1 == steps):
            left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
            shown = losses[-1] if losses else float("nan")
            print(
                f"stage 2: step {step + 1} of {steps}, loss {shown:.4f}, seeing {seeing.item():.2f}, "
                f"about {left / 60:.1f} min left",
                flush=True,
            )
        if rank == 0 and ((step + 1) % report_every == 0 or step + 1 == steps):
            print(f"stage 2: held out {accuracy(model, tokenizer, pool, 600)}", flush=True)
            keep()
    return losses
