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
from torch import Tensor, nn

from canary.augment import augment
from canary.cells import character_cells
from canary.conversation import Chooser, Turn, encode, relating, several, single, without
from canary.model import Canary
from canary.optimise import LEARNING_RATE, Optimiser, autocast
from canary.pool import Pool
from canary.stage_one import HELD_OUT, Labels, Reader, labels_of, seeing_loss
from canary.tokenizer import END_OF_TEXT, IMAGE, token_id

SEEING = 0.15
"""Weight of the reader's loss beside the language model's."""


@dataclass(frozen=True)
class Round:
    """One round of stage two.

    It takes `steps` while the rate falls as if there were `horizon` of them; the tower stands still for the
    first `frozen` steps and then learns at `tower` times the rate. Then the shares of conversations: about
    one picture, about several, without any, and with only questions that relate. With `even` a token of a
    short answer weighs more than one of a long answer, so that `yes` is not drowned by `{"color": ...}`.
    """

    name: str
    steps: int
    horizon: int
    rate: float
    frozen: int
    tower: float
    single: float
    several: float
    without: float
    relating: float
    even: bool


def rounds(first: int, second: int, last: int) -> tuple[Round, ...]:
    """The rounds of stage two: the language model from nothing; both with more that compares and a falling
    rate; and the language model alone, mostly comparing."""
    high, low = LEARNING_RATE, LEARNING_RATE * 0.75
    return (
        Round("stage two", first, first * 5 // 3, high, first // 3, 1.0, 0.66, 0.2, 0.14, 0.0, even=False),
        Round("both", second, second, low, second // 3, 0.4, 0.42, 0.36, 0.14, 0.08, even=True),
        Round("comparing", last, last, high / 2, last, 0.0, 0.3, 0.44, 0.1, 0.16, even=True),
    )


@dataclass(frozen=True)
class Group:
    """Conversations of like length: ids [n, length], weights [n, length] (zero where nothing is
    predicted), and the batch's pictures that they hold, in order."""

    ids: Tensor
    weights: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class Batch:
    """Normalised pictures [n, 3, 112, 112], what they show, and the conversations that speak of them."""

    pictures: Tensor
    labels: Labels
    cells: Tensor
    groups: list[Group]


def _grouped(
    encoded: list[tuple[list[int], list[float], list[int]]], cuts: list[int], filler: int
) -> list[Group]:
    groups = []
    for start, stop in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        part = encoded[start:stop]
        if not part:
            continue
        length = max(len(ids) for ids, _, _ in part)
        ids = torch.tensor([one + [filler] * (length - len(one)) for one, _, _ in part])
        weights = torch.tensor([some + [0.0] * (length - len(some)) for _, some, _ in part])
        groups.append(
            Group(ids, weights, torch.tensor([row for _, _, rows in part for row in rows], dtype=torch.long))
        )
    return groups


def make_batch(
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    pool: Pool,
    conversations: list[list[Turn]],
    varied: bool = True,
) -> Batch:
    """Encode conversations, gather and augment their pictures (unless `varied` is off), and sort them into
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
    cuts = [len(encoded) * part // 8 for part in (1, 3, 5, 7)] if len(encoded) > 8 else []
    groups = _grouped(encoded, cuts, token_id(tokenizer, END_OF_TEXT))
    pixels, scenes = pool.pixels[np.array(rows, dtype=np.int64)], [pool.scenes[row] for row in rows]
    if not varied:
        pictures = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        moves = np.tile(np.eye(2, 3, dtype=np.float32), (len(rows), 1, 1))
    else:
        pictures, moves = augment(rng, pixels, scenes, np.array(keep))
    labels = labels_of(scenes)
    labels.colour[~np.array(keep)] = -100
    return Batch(pictures.contiguous(), labels, torch.from_numpy(character_cells(scenes, moves)), groups)


def _predictions(model: Canary, group: Group, seen: Tensor, image: int) -> tuple[Tensor, Tensor]:
    states = model.read(group.ids, seen[group.pictures] if len(group.pictures) else None, image)
    asked = group.weights[:, 1:] > 0
    return model.lm_head(states[:, :-1][asked]), group.ids[:, 1:][asked]


def batch_loss(
    model: Canary, reader: Reader | None, batch: Batch, image: int, tower_frozen: bool, even: bool
) -> tuple[Tensor, Tensor]:
    """Mean cross entropy over all answer tokens of the batch; and the reader's loss about its pictures (zero
    without a reader, and then the projector stands still too).

    With `even` a token weighs one over the root of its answer's length.
    """
    with torch.set_grad_enabled(not tower_frozen):
        states = model.tower(batch.pictures)
    with torch.set_grad_enabled(reader is not None):
        seen = model.projector(states)
    losses, weights = [], []
    for group in batch.groups:
        logits, truth = _predictions(model, group, seen, image)
        losses.append(torch.nn.functional.cross_entropy(logits.float(), truth, reduction="none"))
        weight = group.weights[:, 1:][group.weights[:, 1:] > 0]
        weights.append(weight if even else torch.ones_like(weight))
    loss = (torch.cat(losses) * torch.cat(weights)).sum() / torch.cat(weights).sum()
    if reader is None:
        return loss, torch.zeros(())
    return loss, seeing_loss(reader, seen, batch.labels, batch.cells)


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
        batch = make_batch(rng, tokenizer, pool, [turns], varied=False) if turns[0].pictures else None
        ids, weights = encode(rng, tokenizer, turns)
        group = Group(torch.tensor([ids]), torch.tensor([weights]), torch.arange(len(turns[0].pictures)))
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
    round: Round,
    batch: int,
    seed: int,
    keep: Callable[[], None],
    report_every: int = 300,
) -> list[float]:
    """Train the whole model for a round of `batch` conversations a step in this process; the losses by
    tens of steps.

    `keep` is called in the first process at every report, to store what there is.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    rng = np.random.default_rng([seed, rank, *round.name.encode()])
    torch.manual_seed(seed)
    reader, steps = Reader() if round.tower else None, round.steps
    words = nn.ModuleDict({"text": model.text, "lm_head": model.lm_head})
    speaking = Optimiser([words], round.horizon, round.rate)
    looking = None
    if reader is not None:
        looking = Optimiser([model.tower, model.projector, reader], round.horizon, round.rate * round.tower)
    image = token_id(tokenizer, IMAGE)
    chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT))
    makers = (
        (single, round.single),
        (several, round.several),
        (without, round.without),
        (relating, round.relating),
    )
    plan = [make for make, share in makers for _ in range(int(share * batch + 0.5))]
    began = time.monotonic()
    losses: list[float] = []
    recent: list[float] = []
    for step in range(steps):
        talks = [make(rng, chooser) for make in plan]
        drawn = make_batch(rng, tokenizer, pool, talks, varied=reader is not None)
        with autocast():
            loss, seeing = batch_loss(
                model, reader, drawn, image, tower_frozen=step < round.frozen, even=round.even
            )
        whole: Any = loss + SEEING * seeing
        whole.backward()
        speaking.step()
        if looking is not None:
            looking.step()
        recent.append(loss.item())
        if (step + 1) % 10 == 0:
            losses.append(float(np.mean(recent)))
            recent = []
        if rank == 0 and ((step + 1) % 50 == 0 or step + 1 == steps):
            left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
            shown = losses[-1] if losses else float("nan")
            print(
                f"{round.name}: step {step + 1} of {steps}, loss {shown:.4f}, seeing {seeing.item():.2f}, "
                f"about {left / 60:.1f} min left",
                flush=True,
            )
        if rank == 0 and ((step + 1) % report_every == 0 or step + 1 == steps):
            print(f"{round.name}: held out {accuracy(model, tokenizer, pool, 600)}", flush=True)
            keep()
    return losses
