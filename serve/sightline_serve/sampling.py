"""From one row of logits to one token: temperature, top-k, top-p, min-p, and the request's own generator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplingParams:
    """How one request wants its tokens. temperature 0: greedy; top_k 0, top_p 1, min_p 0: filter off."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


def distribution(logits: Tensor, params: SamplingParams) -> Tensor:
    """The probabilities [vocab] that `params` leaves of `logits` [vocab], in float32; temperature > 0.

    Order as in the Hugging Face logits warpers: temperature, top-k, top-p (nucleus sampling, Holtzman et
    al. 2019: the smallest set whose probability reaches p), min-p (Nguyen et al. 2024: drop what is below
    min_p times the likeliest). Each filter keeps the likeliest token at least.
    """
    scores = logits.float() / params.temperature
    if 0 < params.top_k < scores.numel():
        floor = torch.topk(scores, params.top_k).values[-1]
        scores = scores.masked_fill(scores < floor, -torch.inf)
    probabilities = torch.softmax(scores, dim=-1)
    if params.top_p < 1.0:
        ordered, order = torch.sort(probabilities, descending=True, stable=True)
        reached_before = torch.cumsum(ordered, dim=-1) - ordered
        keep = reached_before < params.top_p
        keep[0] = True
        probabilities = torch.zeros_like(probabilities).scatter(0, order[keep], ordered[keep])
    if params.min_p > 0.0:
        probabilities = probabilities * (probabilities >= params.min_p * probabilities.max())
    return probabilities / probabilities.sum()


class Sampler:
    """Draws the tokens of one request. The same seed, prompt and settings give the same tokens."""

    def __init__(self, params: SamplingParams) -> None:
        self.params = params
        self.generator = torch.Generator()
        self.generator.manual_seed(secrets.randbits(63) if params.seed is None else params.seed % 2**63)

    def __call__(self, logits: Tensor) -> int:
        """One token for logits [vocab]."""
        # Far below any temperature that changes an answer, division would overflow: that is greedy.
        if self.params.temperature < 1e-5:
            return int(logits.argmax())
        probabilities = distribution(logits.cpu(), self.params)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))
