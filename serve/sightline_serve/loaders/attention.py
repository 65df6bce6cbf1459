"""How a shared key/value cache meets the attention of transformers 4.46 and 5."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sightline_serve.kv_cache import Pair, RowCache

# These take any additive mask of four dimensions; flash attention takes none.
MASKED_ATTENTION = ("sdpa", "eager")
# Their frequencies depend on the longest request of a batch: one would change the others' answers.
SHARED_FREQUENCIES = ("dynamic", "longrope")


def joinable(config: Any) -> bool:
    """Whether the text model attends to everything before a token, and nothing but the token's own row."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return (
        config._attn_implementation in MASKED_ATTENTION
        and not window
        and kinds == {"full_attention"}
        and rope.get("rope_type", rope.get("type")) not in SHARED_FREQUENCIES
    )


def pairs(cache: Any) -> list[Pair] | None:
    """Each layer's keys and values, or None if a layer keeps anything else."""
    found: Any
    if hasattr(cache, "layers"):  # transformers 5
        found = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in cache.layers]
    else:
        found = list(zip(getattr(cache, "key_cache", []), getattr(cache, "value_cache", []), strict=True))
    plain = all(isinstance(tensor, Tensor) and tensor.ndim == 4 for pair in found for tensor in pair)
    return found if found and plain else None


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to the scores: 0 where `seen`, the least number elsewhere."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)


def shared_cache() -> Any:
    """The class that hands a RowCache to a forward, made when transformers is imported anyway."""
    from transformers import DynamicCache

    class SharedCache(DynamicCache):
        """Both versions want their own class; given mask and positions, they call only `update`."""

        def __init__(self, rows: RowCache) -> None:
            super().__init__()
            self.rows = rows

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
        ) -> Pair:
            return self.rows.write(layer_idx, key_states, value_states)

    return SharedCache
