"""A model's architecture as numbers that the formulae take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.fit.errors import CannotEstimate

FAMILIES = ("llava", "mllama", "phi3-vision", "qwen-vl")
"""The families whose formulae stand here; every other one is refused, never taken for one of these."""


@dataclass(frozen=True, slots=True)
class TextModel:
    """The language model. `layers` counts those with cross attention (mllama) too; sizes are elements."""

    layers: int
    cross_attention_layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_context: int

    @property
    def self_attention_layers(self) -> int:
        """Layers that hold keys and values of the text."""
        return self.layers - self.cross_attention_layers


@dataclass(frozen=True, slots=True)
class VisionTower:
    """The vision tower; `image_size` in pixels is None where it takes any size."""

    layers: int
    global_layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    patch_size: int
    image_size: int | None


@dataclass(frozen=True, slots=True)
class Architecture:
    """One model: its family, its two halves, and the rule for picture tokens as the catalogue has it."""

    family: str
    text: TextModel
    vision: VisionTower
    picture_rule: Mapping[str, Any]


def read_architecture(model: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a catalogue entry.

    Raises:
        CannotEstimate: its family has no formulae here, or a number that they need is not known.
    """
    name, found = model["name"], model["architecture"]
    family = found["family"]
    if family not in FAMILIES:
        raise CannotEstimate(
            f"{name}: there are no formulae for the family {family!r}",
            f"known are {', '.join(FAMILIES)}; a new family is added to sightline/fit/families.py with its "
            "formulae and their sources",
        )
    text = {key: _number(name, found["text"], "text", key) for key in TextModel.__slots__}
    vision = {
        key: _number(name, {"global_layers": 0, **found["vision"]}, "vision", key)
        for key in VisionTower.__slots__
        if key != "image_size"
    }
    return Architecture(
        family=family,
        text=TextModel(**text),
        vision=VisionTower(**vision, image_size=found["vision"].get("image_size")),
        picture_rule=found["picture_tokens"],
    )


def _number(name: str, group: Mapping[str, Any], place: str, key: str) -> int:
    value = group.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CannotEstimate(
            f"{name}: architecture.{place}.{key} is not known",
            f"fill it in in catalogue/models/{name}.yml; it stands in the model's config.json",
        )
    return value
