"""How much memory a server of a model takes: the terms, their sum, and what of it each card holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sightline.fit.architecture import read_architecture
from sightline.fit.engines import Device, Engine
from sightline.fit.errors import CannotEstimate
from sightline.fit.families import Case, terms_of
from sightline.fit.formulas import article_bytes
from sightline.fit.pictures import PictureCost, picture_cost
from sightline.fit.terms import Term, Workload
from sightline.fit.weights import lower_bound

ANSWER_TOKENS = 256
"""Tokens of the context that question and answer must be left beside the pictures."""

_SPREAD = ("weights", "KV cache", "cross-attention states")
"""Terms that several cards share; each card has the others whole."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of one server, in bytes. `article_bytes` is the article's rule of thumb, for comparison.

    `head_shares`: the most equal parts that all of the model's heads of attention can be dealt into.
    """

    model: str
    engine: Engine
    device: Device
    workload: Workload
    picture: PictureCost
    terms: tuple[Term, ...]
    layers: int
    head_shares: int
    max_context: int
    article_bytes: int | None

    @property
    def total(self) -> int:
        """All terms together, on one card."""
        return sum(term.bytes for term in self.terms)

    @property
    def certain(self) -> int:
        """The part that is arithmetic or published, not estimated."""
        return sum(term.bytes for term in self.terms if term.basis != "estimate")

    @property
    def picture_tokens(self) -> int:
        """Tokens of the context that the pictures of one conversation take."""
        return self.workload.pictures * self.picture.text_tokens

    @property
    def context_needed(self) -> int:
        """The shortest context that holds the pictures, a question and a short answer."""
        return self.picture_tokens + ANSWER_TOKENS

    def cards_used(self, cards: int) -> int:
        """Return on how many of `cards` the engine computes; heads are dealt out in equal parts."""
        match self.engine.spread:
            case "none":
                return 1
            case "layers":
                return min(cards, self.layers)
            case "heads":
                return max(count for count in range(1, cards + 1) if self.head_shares % count == 0)

    def per_card(self, cards: int) -> int:
        """Return what the fullest of `cards` cards holds."""
        return sum(self.on_fullest(cards))

    def on_fullest(self, cards: int) -> list[int]:
        """Return what the fullest of `cards` cards holds of each term, in bytes.

        Weights and caches are shared out by whole layers: one card may hold a layer more than its share. Each
        card has the other terms whole.
        """
        if cards == 1:
            return [term.bytes for term in self.terms]
        return [
            min(term.bytes, -(-term.bytes // cards) + term.bytes // self.layers)
            if term.name in _SPREAD
            else term.bytes
            for term in self.terms
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain JSON values."""
        return {
            "model": self.model,
            "engine": self.engine.name,
            "loader": self.engine.loader or None,
            "device": self.device,
            "workload": asdict(self.workload),
            "picture": asdict(self.picture),
            "terms": [asdict(term) for term in self.terms],
            "total_bytes": self.total,
            "certain_bytes": self.certain,
            "picture_tokens": self.picture_tokens,
            "article_bytes": self.article_bytes,
        }


def estimate(
    model: Mapping[str, Any], engine: Engine, workload: Workload, device: Device = "cuda"
) -> Estimate:
    """Work out the memory that `engine` takes for a catalogue entry under a workload.

    Raises:
        CannotEstimate: the family, a number or the weights are not known; `at_least` then bounds it below
            where the weights' sizes are.
    """
    try:
        architecture = read_architecture(model)
        picture = picture_cost(architecture, workload.width, workload.height)
        case = Case(model, architecture, engine, device, workload, picture, _element_bytes(engine, device))
        terms = terms_of(case)
        if terms is None:
            raise CannotEstimate(
                f"{model['name']}: there are no formulae for {architecture.family} in {engine.name}",
                "add them to sightline/fit/families.py, with their sources",
            )
    except CannotEstimate as problem:
        raise CannotEstimate(problem.what, problem.remedy, lower_bound(model)) from problem
    parameters, bits = model["parameters"]["total"], _article_bits(model)
    return Estimate(
        model=model["name"],
        engine=engine,
        device=device,
        workload=workload,
        picture=picture,
        terms=terms,
        layers=architecture.text.layers,
        head_shares=math.gcd(
            architecture.text.attention_heads,
            architecture.text.kv_heads,
            architecture.vision.attention_heads,
        ),
        max_context=architecture.text.max_context,
        article_bytes=article_bytes(parameters, bits) if parameters and bits else None,
    )


def _element_bytes(engine: Engine, device: Device) -> int:
    """16 bits on a GPU and in llama.cpp's cache; sightline-serve computes in float32 on a CPU."""
    return 4 if device == "cpu" and not engine.gguf else 2


def _article_bits(model: Mapping[str, Any]) -> int | None:
    """The article's Q: 4 for what is stored in 4 bits, scales not counted; else the bits themselves."""
    bits = model["quantisation"]["bits_per_weight"]
    return int(bits) if bits else None
