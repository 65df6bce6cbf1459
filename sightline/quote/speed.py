"""How fast a card can be with a model at best, from what must be computed and moved: a roofline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.fit import Card, Estimate
from sightline.fit.architecture import read_architecture
from sightline.fit.formulas import kv_bytes_per_token

PROMPT_SHARE = 0.4
"""Share of a card's peak arithmetic that reading a prompt is taken to reach. Our assumption."""
DECODE_SHARE = 0.5
"""Share of a card's peak bandwidth that answering is taken to reach, one conversation at a time. Our
assumption: this project's goal is 0.8, and plain transformers stays below it for small models."""
FOUR_BIT_SHARE = 0.25
"""The same for bitsandbytes' 4-bit weights, which are widened as they are read. Our assumption."""
QUESTION_TOKENS = 64
"""Tokens of a question beside its pictures."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds: for the picture(s) in the tower, for reading the prompt, for each token of the answer."""

    vision: float
    prompt: float
    token: float

    def answer(self, tokens: int) -> float:
        """Seconds for one question with its pictures and an answer of so many tokens."""
        return self.vision + self.prompt + tokens * self.token


def card_speed(model: Mapping[str, Any], estimate: Estimate, card: Card, pictures: int) -> Speed | None:
    """Return the speed to expect of one card, None where its peaks or the model's parameters are not known.

    Arithmetic: 2 FLOP a parameter and token, in the tower and in the language model. Answering: every
    token reads all weights and the cache so far once. Source: Williams et al., "Roofline" (2009), as Pope et
    al. (2022) apply it to transformers. The shares above are what keeps it from being the bound itself.
    """
    parameters = model["parameters"]["total"]
    if card.bandwidth is None or card.flops is None or not parameters:
        return None
    architecture = read_architecture(model)
    tower, text = architecture.vision, architecture.text
    per_layer = 4 * tower.hidden_size**2 + 3 * tower.hidden_size * tower.intermediate_size
    vision = 2 * (tower.layers + tower.global_layers) * per_layer * pictures * estimate.picture.patches
    tokens = pictures * estimate.picture.text_tokens + QUESTION_TOKENS
    sizes = {term.name: term.bytes for term in estimate.terms}
    work = estimate.workload
    cross = sizes.get("cross-attention states", 0) / max(1, work.slots * work.pictures) * pictures
    read = sizes["weights"] + cross + tokens * kv_bytes_per_token(text, 2)
    four = model["quantisation"]["method"] == "bitsandbytes-nf4"
    return Speed(
        vision=vision / (card.flops * PROMPT_SHARE),
        prompt=2 * parameters * tokens / (card.flops * PROMPT_SHARE),
        token=read / (card.bandwidth * (FOUR_BIT_SHARE if four else DECODE_SHARE)),
    )
