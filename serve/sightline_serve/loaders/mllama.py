"""Llama 3.2 Vision: layers of their own look at the pictures, which take no place among the tokens."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from sightline_serve.kv_cache import Layers, Row
from sightline_serve.loaders.attention import additive, caches
from sightline_serve.loaders.families import Inputs, Merging
from sightline_serve.reading import Cross
from sightline_serve.vision_cache import Picture

ARGUMENTS = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")


class Mllama(Merging):
    merges = False

    def __init__(self, model: Any) -> None:
        parts = getattr(model, "model", model)  # transformers 5, 4
        self.vision, self.projector = parts.vision_model, parts.multi_modal_projector
        decoder = model.get_decoder()
        self.layers = {n: decoder.layers[n].cross_attn for n in decoder.cross_attention_layers}
        self.watched_cache = caches()[1]
        accepted = inspect.signature(next(iter(self.layers.values())).forward).parameters
        self.cache_name = "past_key_values" if "past_key_values" in accepted else "past_key_value"

    def split(self, inputs: Inputs) -> list[Picture]:
        if "pixel_values" not in inputs:
            return []
        each = zip(*(inputs[name][0] for name in ARGUMENTS), strict=True)
        return [dict(zip(ARGUMENTS, picture, strict=True)) for picture in each]

    def counts(self, inputs: Inputs, placeholder: int) -> list[int]:
        return [1] * len(self.split(inputs))

    def tower(self, pictures: list[Picture]) -> list[Tensor]:
        arguments = {
            name: torch.stack([picture[name] for picture in pictures])[:, None] for name in ARGUMENTS
        }
        seen = self.projector(self.vision(**arguments)[0])  # [pictures, 1, tiles, patches, width]
        return list(seen.flatten(1, 3))

    def cross(self, inputs: Inputs, features: list[Tensor]) -> Cross | None:
        if not features:
            return None
        return Cross(torch.cat(features), inputs["cross_attention_mask"][0].to(features[0].device))

    def alone(self, cross: Cross | None, sees: Tensor | None) -> dict[str, Tensor]:
        if cross:
            return {"cross_attention_states": cross.states[None], "cross_attention_mask": cross.sees[None]}
        return {} if sees is None else {"cross_attention_mask": sees[None, None]}

    def cross_layers(self, cross: Cross | None = None) -> Layers:
        """As the layers themselves keep them, each asked for one token: what they keep differs by version."""
        states = cross.states if cross else self.projector.weight.new_zeros(1, self.projector.out_features)
        watched = self.watched_cache()
        for layer in self.layers.values():
            layer(
                hidden_states=states.new_zeros(1, 1, states.shape[1]),
                cross_attention_states=states[None],
                attention_mask=None,
                cache_position=torch.zeros(1, dtype=torch.long, device=states.device),
                **{self.cache_name: watched},
            )
        noted: Layers = watched.noted
        return noted

    def places(self, pictures: int) -> int:
        config = self.vision.config
        return int(pictures * config.max_num_tiles * self.vision.num_patches)


def looks(rows: list[Row], width: int, sees: dict[Row, Tensor], dtype: torch.dtype) -> dict[str, Any]:
    """Which of its row's pictures each new token looks at, as arguments of the decoder; {} without any.

    `sees` holds [new tokens, pictures, tiles] of rows with pictures. As in the model's own code, a token
    before the first picture, which may see none, attends to all of them alike, and the layer's second half is
    left out for it. A row without pictures has keys and values of zeros there, which add nothing.
    """
    places = max((row.beside.length for row in rows if row.beside), default=0)
    if not places:
        return {}
    device = next(iter(sees.values())).device if sees else None
    seen = torch.zeros(len(rows), 1, width, places, dtype=torch.bool, device=device)
    any_at_all = torch.zeros(len(rows), 1, width, 1, dtype=dtype, device=device)
    for i, row in enumerate(rows):
        if row in sees and row.beside:
            tiles = sees[row].flatten(1).bool()
            whole = tiles.repeat_interleave(row.beside.length // tiles.shape[1], dim=1)
            some = tiles.any(dim=1, keepdim=True)
            seen[i, 0, : len(tiles), : row.beside.length] = whole | ~some
            any_at_all[i, 0, : len(tiles)] = some.to(dtype)
    mask = additive(seen, dtype)
    return {"cross_attention_mask": mask, "full_text_row_masked_out_mask": any_at_all}
