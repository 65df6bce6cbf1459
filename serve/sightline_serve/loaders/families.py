"""What differs between kinds of vision-language model: how pictures are told apart, seen and given places."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sightline_serve.kv_cache import Layers
from sightline_serve.reading import Cross
from sightline_serve.vision_cache import Picture

Inputs = dict[str, Tensor]  # what a processor made of one prompt: a batch of one


class Family(Protocol):
    """`merges`: picture features stand in the token sequence, at the placeholder's places.

    `axes`: how many numbers a position has.
    """

    merges: bool
    axes: int

    def split(self, inputs: Inputs) -> list[Picture]:
        """The model's arguments for each picture of a prompt, in order."""

    def tower(self, pictures: list[Picture]) -> list[Tensor]:
        """Features [tokens, width] of each picture, in one forward; `pictures` are on the model's device."""

    def counts(self, inputs: Inputs, placeholder: int) -> list[int]:
        """How many places in the token sequence each picture of a prompt takes."""

    def positions(self, inputs: Inputs, pictures: list[Picture]) -> tuple[Tensor, int]:
        """Positions [axes, tokens] of a prompt, and how far what follows is from counting tokens."""

    def cross(self, inputs: Inputs, features: list[Tensor]) -> Cross | None:
        """What layers that only look at pictures need of them; None where there are none."""

    def cross_layers(self, cross: Cross | None = None) -> Layers:
        """Keys and values of those layers, [1, heads, places, head size]; of one place if left out."""

    def places(self, pictures: int) -> int:
        """What so many pictures take of them."""

    def alone(self, cross: Cross | None, sees: Tensor | None) -> dict[str, Tensor]:
        """What the whole model's forward needs for them: of a prompt, or of a token behind it."""


class Merging:
    """The common case: embeddings in the token sequence, positions 0, 1, 2 ..."""

    merges = True
    axes = 1

    def positions(self, inputs: Inputs, pictures: list[Picture]) -> tuple[Tensor, int]:
        return torch.arange(inputs["input_ids"].shape[1])[None], 0

    def cross(self, inputs: Inputs, features: list[Tensor]) -> Cross | None:
        return None

    def cross_layers(self, cross: Cross | None = None) -> Layers:
        return {}

    def places(self, pictures: int) -> int:
        return 0

    def alone(self, cross: Cross | None, sees: Tensor | None) -> dict[str, Tensor]:
        return {}


class Llava(Merging):
    """Every picture is one square of pixels and as many tokens."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def split(self, inputs: Inputs) -> list[Picture]:
        return [{"pixel_values": pixels} for pixels in inputs.get("pixel_values", [])]

    def counts(self, inputs: Inputs, placeholder: int) -> list[int]:
        pictures = len(inputs.get("pixel_values", []))
        return [int((inputs["input_ids"] == placeholder).sum()) // pictures] * pictures

    def tower(self, pictures: list[Picture]) -> list[Tensor]:
        config = self.model.config
        made = self.model.get_image_features(
            pixel_values=torch.stack([picture["pixel_values"] for picture in pictures]),
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        return list(getattr(made, "pooler_output", made))  # transformers 4 gives the features themselves
