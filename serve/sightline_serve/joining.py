"""Can this model's requests share a forward? Found out by trying, once, before it serves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline_serve.errors import StartError
from sightline_serve.kv_cache import BLOCK, Layers, RowCache
from sightline_serve.memory import KVBudget
from sightline_serve.reading import Chunk, Prompt

if TYPE_CHECKING:
    from sightline_serve.model import Model

log = logging.getLogger(__name__)

# Two texts of different lengths, as token ids that every vocabulary has.
TEXTS = ([11, 5, 7], [3, 13, 8, 2, 6, 9, 10])
STEPS = 3
# Rounding of 8-bit mantissas (bfloat16) through a deep model stays below; a wrong position or mask does not.
TOLERANCE = 0.1


def place_bytes(layers: Layers) -> int:
    """What a token, or a place beside the tokens, takes in all layers."""
    return sum(tensor[0, :, 0].numel() * tensor.element_size() for pair in layers.values() for tensor in pair)


def budget(example: Layers | None, kv_bytes: int | None) -> KVBudget | None:
    """How many tokens `kv_bytes` hold. Raises StartError if not even a short request could run."""
    if not example or kv_bytes is None:
        return None
    each = place_bytes(example)
    found = KVBudget(kv_bytes // each, len(example))
    if not found.longest():
        raise StartError(
            f"the key/value cache may take {kv_bytes / 2**20:.1f} MiB, and the shortest request needs "
            f"{found.cost(1, BLOCK) * each / 2**20:.1f} MiB ({each} bytes a token). Give it more: "
            "--kv-cache-mib on a CPU, --gpu-memory-utilization on a GPU; or free some memory."
        )
    return found


@torch.inference_mode()
def agrees(model: Model, rows: RowCache) -> bool:
    """Whether two texts, read and stepped in one forward, get the logits that they get alone."""
    if not model.joinable:
        return False
    prompts = [_prompt(ids) for ids in TEXTS]
    texts = model.texts(prompts, [[] for _ in prompts])
    joined = [rows.join() for _ in texts]
    for row, text in zip(joined, texts, strict=True):
        model.settle(rows, row, text)
    caches, ends = map(list, zip(*map(model.start, prompts), strict=True))
    # The long one in two pieces, the second of them beside the short one.
    model.read_rows(rows, [Chunk(joined[1], texts[1], 0, 4)])
    rest = [
        Chunk(row, text, row.length, len(ids)) for row, text, ids in zip(joined, texts, TEXTS, strict=True)
    ]
    pairs = [(model.read_rows(rows, rest), torch.stack(ends))]
    for step in range(STEPS):
        fed = [ids[step] for ids in TEXTS]
        together = model.step_rows(rows, dict(zip(joined, fed, strict=True)))
        for i, ids in enumerate(TEXTS):
            caches[i], ends[i] = model.step(caches[i], fed[i], len(ids) + step)
        pairs.append((together, torch.stack(ends)))
    rows.clear()
    if all(close(*pair) for pair in pairs):
        return True
    log.warning("requests of this model do not share a forward: the answers would differ")
    return False


def _prompt(ids: list[int]) -> Prompt:
    tokens = torch.tensor([ids])
    return Prompt({"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}, len(ids), 0)


def close(found: Tensor, expected: Tensor) -> bool:
    """Relative distance of each row, by the norm; NaN is not close."""
    distance = (found.float() - expected.float()).norm(dim=-1) / expected.float().norm(dim=-1)
    return bool((distance < TOLERANCE).all())
