"""From one row of logits to one token: penalties, biases, temperature, filters, a generator of one's own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

# Seeds of a request's further answers lie apart by the golden ratio of 2^64, so that neighbouring seeds of
# two requests give no answer twice (Steele, Lea and Flood 2014, SplitMix).
GOLDEN = 0x9E3779B97F4A7C15


class Guide(Protocol):
    """What one answer may say next, such as the JSON of a schema (see grammar.py)."""

    def allowed(self, vocabulary: int) -> Tensor:
        """Which tokens may come next: true or false [vocabulary]; at least one is true."""

    def advance(self, token: int) -> None: ...

    @property
    def done(self) -> bool:
        """Whether nothing can follow what was said."""


class Grammar(Protocol):
    def guide(self) -> Guide:
        """A fresh one, for one answer."""


@dataclass(frozen=True)
class SamplingParams:
    """How one request wants its tokens. temperature 0: greedy; top_k 0, top_p 1, min_p 0: filter off.

    `logprobs` None: none are kept; else how many of the likeliest tokens are told beside each chosen one.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None
    grammar: Grammar | None = None

    @property
    def reshapes(self) -> bool:
        """Whether logits are changed before temperature and filters see them."""
        penalties = self.frequency_penalty, self.presence_penalty, self.repetition_penalty - 1.0
        return any(penalties) or bool(self.logit_bias)

    def for_choice(self, number: int) -> SamplingParams:
        """Those of answer `number` of a request, counted from 0: the same, with a seed of its own."""
        if self.seed is None or not number:
            return self
        return replace(self, seed=(self.seed + number * GOLDEN) % 2**63)


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
    """Draws the tokens of one answer. The same seed, prompt and settings give the same tokens."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int] = ()) -> None:
        """`prompt`: its token ids, which only the repetition penalty looks at."""
        self.params = params
        self.prompt = prompt
        self.counts: Tensor | None = None  # how often each token was drawn [vocab]; made when first needed
        self.seen: Tensor | None = None  # whether it was drawn or stands in the prompt [vocab]
        self.generator = torch.Generator()
        self.generator.manual_seed(secrets.randbits(63) if params.seed is None else params.seed % 2**63)

    def __call__(self, logits: Tensor, allowed: Tensor | None = None) -> int:
        """One token for logits [vocab], of those that are `allowed`, true or false [vocab]."""
        if self.params.reshapes:
            logits = self._reshaped(logits.float().cpu())
        if allowed is not None:
            logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
        token = self._draw(logits)
        if self.counts is not None and self.seen is not None:
            self.counts[token] += 1
            self.seen[token] = True
        return token

    def _draw(self, logits: Tensor) -> int:
        # Far below any temperature that changes an answer, division would overflow: that is greedy.
        if self.params.temperature < 1e-5:
            return int(logits.argmax())
        probabilities = distribution(logits.cpu(), self.params)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))

    def _reshaped(self, logits: Tensor) -> Tensor:
        """Penalties and biases applied to a copy.

        Repetition: Keskar et al. 2019 (CTRL), over prompt and answer. Frequency and presence: over the
        answer, as OpenAI's API reference has it, mu[j] - c[j] * frequency - (c[j] > 0) * presence. Then the
        biases are added.
        """
        params = self.params
        if self.counts is None or self.seen is None:
            self.counts = torch.zeros_like(logits)
            self.seen = torch.zeros_like(logits, dtype=torch.bool)
            self.seen[torch.tensor([t for t in self.prompt if t < len(logits)], dtype=torch.long)] = True
        if params.repetition_penalty != 1.0:
            weaker = torch.where(
                logits > 0, logits / params.repetition_penalty, logits * params.repetition_penalty
            )
            logits = torch.where(self.seen, weaker, logits)
        logits = logits - params.frequency_penalty * self.counts
        logits = logits - params.presence_penalty * (self.counts > 0)
        for token, bias in params.logit_bias.items():
            if token < len(logits):
                logits[token] += bias
        return logits
