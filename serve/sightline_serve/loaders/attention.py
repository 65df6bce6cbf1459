"""How a shared key/value cache meets the attention of transformers 4.46 and 5."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from sightline_serve.kv_cache import Layers, Pair, RowCache

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


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to the scores: 0 where `seen`, the least number elsewhere."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)


def caches() -> tuple[Any, Any]:
    """The classes that hand a RowCache to a forward, and that watch one."""
    from transformers import DynamicCache

    class SharedCache(DynamicCache):
        """Both versions want their own class; given mask and positions, they call only `update`.

        Cross-attention layers look for what was kept for them in the version's own place.
        """

        def __init__(self, rows: RowCache, beside: Layers) -> None:
            super().__init__()
            self.rows = rows
            if beside:
                empty = next(iter(beside.values()))[0][:, :, :0]
                kept = [beside.get(number, (empty, empty)) for number in range(max(beside) + 1)]
                made: Any = [SimpleNamespace(keys=k, values=v, is_initialized=True) for k, v in kept]
                self.layers = made
                self.key_cache, self.value_cache = [k for k, _ in kept], [v for _, v in kept]

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
        ) -> Pair:
            return self.rows.write(layer_idx, key_states, value_states)

    class WatchedCache(DynamicCache):
        """Notes which layers keep keys and values, and of what shape."""

        def __init__(self) -> None:
            super().__init__()
            self.noted: Layers = {}

        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
        ) -> Pair:
            self.noted[layer_idx] = key_states, value_states
            return key_states, value_states

    return SharedCache, WatchedCache
