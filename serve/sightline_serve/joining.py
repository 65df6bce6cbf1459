"""Can this model's requests share a forward? Found out by trying, once, before it serves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline_serve.errors import StartError
from sightline_serve.kv_cache import BLOCK, Pair, RowCache
from sightline_serve.memory import KVBudget

if TYPE_CHECKING:
    from sightline_serve.engine import Model

log = logging.getLogger(__name__)

# Two texts of different lengths, as token ids that every vocabulary has.
SHORT, LONG = [11, 5, 7], [3, 13, 8, 2, 6, 9, 10]
STEPS = 3
# Rounding of 8-bit mantissas (bfloat16) through a deep model stays below; a wrong position or mask does not.
TOLERANCE = 0.1


@torch.inference_mode()
def example(model: Model) -> list[Pair] | None:
    """The layers of a short text's cache, or None where it is not keys and values alone."""
    return model.pairs(model.start(_inputs(SHORT))[0])


def budget(example: list[Pair] | None, kv_bytes: int | None) -> KVBudget | None:
    """How many tokens `kv_bytes` hold. Raises StartError if not even a short request could run."""
    if example is None or kv_bytes is None:
        return None
    each = sum(tensor[0, :, 0].numel() * tensor.element_size() for pair in example for tensor in pair)
    found = KVBudget(kv_bytes // each)
    if not found.longest():
        raise StartError(
            f"the key/value cache may take {kv_bytes / 2**20:.1f} MiB, and the shortest request needs "
            f"{2 * BLOCK * each / 2**20:.1f} MiB ({each} bytes a token). Give it more: "
            "--kv-cache-mib on a CPU, --gpu-memory-utilization on a GPU; or free some memory."
        )
    return found


@torch.inference_mode()
def agrees(model: Model, example: list[Pair]) -> bool:
    """Whether two texts stepped in one forward, each at its own position, get the logits they get alone."""
    if not model.joinable:
        return False
    rows = RowCache(example, lambda *_: False)
    caches = []
    for ids in (SHORT, LONG):
        cache, _ = model.start(_inputs(ids))
        pairs = model.pairs(cache)
        if pairs is None:
            return False
        rows.join(pairs)
        caches.append(cache)
    for step in range(STEPS):
        together = model.step_rows(rows, [SHORT[step], LONG[step]])
        alone = []
        for i, ids in enumerate((SHORT, LONG)):
            caches[i], logits = model.step(caches[i], ids[step], len(ids) + step)
            alone.append(logits)
        if not _close(together, torch.stack(alone)):
            log.warning("requests of this model do not share a forward: the answers would differ")
            return False
    return True


def _close(found: Tensor, expected: Tensor) -> bool:
    """Relative distance of each row, by the norm; NaN is not close."""
    distance = (found.float() - expected.float()).norm(dim=-1) / expected.float().norm(dim=-1)
    return bool((distance < TOLERANCE).all())


def _inputs(ids: list[int]) -> dict[str, Tensor]:
    tokens = torch.tensor([ids])
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
