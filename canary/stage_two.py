"""Stage two: the language model learns to say what the tower sees; the tower joins after the first part.

The reader of stage one (a new one) goes on asking beside it, so that the tower reads better until the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch import Tensor

from canary.augment import augment
from canary.cells import character_cells
from canary.conversation import Chooser, Turn, encode, several, single, without
from canary.model import Canary
from canary.optimise import Optimiser, autocast
from canary.pool import Pool
from canary.stage_one import HELD_OUT, Labels, Reader, labels_of, seeing_loss
from canary.tokenizer import END_OF_TEXT, IMAGE, token_id

SHARES = {"single": 0.66, "several": 0.2, "without": 0.14}
"""Conversations about one picture, about several, and without any."""


SEEING = 0.15
"""Weight of the reader's loss beside the language model's."""


@dataclass(frozen=True)
class Group:
    """Conversations of like length: ids [n, length], wanted [n, length], and the batch's pictures they
    hold, in order."""

    ids: Tensor
    wanted: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class Batch:
    """Normalised pictures [n, 3, 112, 112], what they show, and the conversations that speak of them."""

    pictures: Tensor
    labels: Labels
    cells: Tensor
    groups: list[Group]


def _grouped(
    encoded: list[tuple[list[int], list[bool], list[int]]], cuts: list[int], filler: int
) -> list[Group]:
    groups = []
    for start, stop in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        part = encoded[start:stop]
        if not part:
            continue
        length = max(len(ids) for ids, _, _ in part)
        ids = torch.tensor([one + [filler] * (length - len(one)) for one, _, _ in part])
        wanted = torch.tensor([want + [False] * (length - len(want)) for _, want, _ in part])
        groups.append(
            Group(ids, wanted, torch.tensor([row for _, _, rows in part for row in rows], dtype=torch.long))
        )
    return groups


def make_batch(
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    pool: Pool,
    conversations: list[list[Turn]],
    plain: bool = False,
) -> Batch:
    """Encode conversations, gather and augment their pictures (`plain`: as drawn), and sort them into
    groups by length."""
    rows: list[int] = []
    keep: list[bool] = []
    encoded = []
    for turns in conversations:
        places = []
        asks_colour = any(turn.asked.text_colour for turn in turns)
        for turn in turns:
            for row in turn.pictures:
                places.append(len(rows))
                rows.append(row)
                keep.append(asks_colour or not pool.scenes[row].text)
        encoded.append((*encode(rng, tokenizer, turns), places))
    encoded.sort(key=lambda one: len(one[0]))
    cuts = [] if plain else [len(encoded) * part // 8 for part in (1, 3, 5, 7)]
    groups = _grouped(encoded, cuts, token_id(tokenizer, END_OF_TEXT))
    pixels, scenes = pool.pixels[np.array(rows, dtype=np.int64)], [pool.scenes[row] for row in rows]
    if plain:
        pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        moves = np.tile(np.eye(2, 3, dtype=np.float32), (len(rows), 1, 1))
    else:
        pictures, moves = augment(rng, pixels, scenes, np.array(keep))
    labels = labels_of(scenes)
    labels.colour[~np.array(keep)] = -100
    return Batch(pictures.contiguous(), labels, torch.from_numpy(character_cells(scenes, moves)), groups)


def _predictions(model: Canary, group: Group, seen: Tensor, image: int) -> tuple[Tensor, Tensor]:
    states = model.read(group.ids, seen[group.pictures] if len(group.pictures) else None, image)
    asked = group.wanted[:, 1:]
    return model.lm_head(states[:, :-1][asked]), group.ids[:, 1:][asked]


def batch_loss(
    model: Canary, reader: Reader, batch: Batch, image: int, tower_frozen: bool
) -> tuple[Tensor, Tensor]:
    """Mean cross entropy over all answer tokens of the batch; and the reader's loss about its pictures."""
    with torch.set_grad_enabled(not tower_frozen):
        states = model.tower(batch.pictures)
    seen = model.projector(states)
    losses, tokens = [], 0
    for group in batch.groups:
        logits, truth = _predictions(model, group, seen, image)
        losses.append(torch.nn.functional.cross_entropy(logits.float(), truth, reduction="sum"))
        tokens += len(truth)
    return torch.stack(losses).sum() / tokens, seeing_loss(reader, seen, batch.labels, batch.cells)


@torch.no_grad()
def accuracy(
    model: Canary, tokenizer: Tokenizer, pool: Pool, questions: int, seed: int = 0
) -> dict[str, float]:
    """Share of first answers about held-out pictures that greedy decoding would give exactly, by task."""
    rng = np.random.default_rng([seed, 2])
    chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT, len(pool.scenes)))
    right: dict[str, list[bool]] = {}
    image = token_id(tokenizer, IMAGE)
    for index in range(questions):
        make = (single, single, several, without)[index % 4]
        turns = make(rng, chooser)[:1]
        batch = make_batch(rng, tokenizer, pool, [turns], plain=True) if turns[0].pictures else None
        ids, wanted = encode(rng, tokenizer, turns)
        group = Group(torch.tensor([ids]), torch.tensor([wanted]), torch.arange(len(turns[0].pictures)))
        with autocast():
            seen = model.see(batch.pictures) if batch else torch.empty(0)
            logits, truth = _predictions(model, group, seen, image)
        task = turns[0].asked.task
        if task in ("number", "word") and turns[0].pictures:
            task = f"{task} {len(turns[0].asked.answer)}"
        right.setdefault(task, []).append(bool((logits.argmax(-1) == truth).all()))
    return {task: round(100 * float(np.mean(answers)), 1) for task, answers in sorted(right.items())}


def train_stage_two(
    model: Canary,
    tokenizer: Tokenizer,
    pool: Pool,
    steps: int,
    batch: int,
    seed: int,
    keep: Callable[[], None],
    report_every: int = 300,
    frozen: float = 0.2,
) -> list[float]:
    """Train the whole model for `steps` of `batch` conversations in this process; the losses by tens of
    steps.

    `keep` is called in the first process at every report, to store what there is.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    rng = np.random.default_rng([seed, rank, 2])
    torch.manual_seed(seed)
    reader = Reader()
    optimiser = Optimiser([model, reader], steps)
    image = token_id(tokenizer, IMAGE)
    chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT))
    makers = {"single": single, "several": several, "without": without}
    plan = [makers[name] for name, share in SHARES.items() for _ in range(round(share * batch))]
    began = time.monotonic()
    losses: list[float] = []
    recent: list[float] = []
    for step in range(steps):
        drawn = make_batch(rng, tokenizer, pool, [make(rng, chooser) for make in plan])
        with autocast():
            loss, seeing = batch_loss(model, reader, drawn, image, tower_frozen=step < steps * frozen)
        whole: Any = loss + SEEING * seeing
        whole.backward()
        optimiser.step()
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
