"""How likely the model found each token of an answer, and which ones it found likelier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# JSON has no minus infinity; OpenAI's API says -9999.0 for what is all but impossible.
LEAST = -9999.0


@dataclass(frozen=True)
class TokenLogprob:
    """Natural logarithm of a token's probability; `top`: the likeliest tokens with theirs, best first."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def logprob(logits: Tensor, token: int, top: int) -> TokenLogprob:
    """Of the model's own distribution, logits [vocab] as they came: no temperature, penalty, bias, schema."""
    values = torch.log_softmax(logits.float(), dim=-1).clamp(min=LEAST)
    best = torch.topk(values, min(top, len(values)))
    likeliest = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return TokenLogprob(token, float(values[token]), tuple(likeliest))


class Ledger:
    """Which tokens the text sent so far is made of: text may be held back, and its tokens are with it."""

    def __init__(self) -> None:
        self.owed: list[tuple[int, TokenLogprob]] = []  # characters that a token brought, and the token
        self.credit = 0  # characters said of the first owed token already

    def bring(self, characters: int, token: TokenLogprob) -> None:
        self.owed.append((characters, token))

    def say(self, characters: int) -> tuple[TokenLogprob, ...]:
        """The tokens of which these next characters are; one that is sent in parts goes with its first."""
        told: list[TokenLogprob] = []
        while characters > self.credit and self.owed:
            more, token = self.owed.pop(0)
            self.credit += more
            told.append(token)
        self.credit -= characters
        return tuple(told)

    def rest(self) -> tuple[TokenLogprob, ...]:
        told = tuple(token for _, token in self.owed)
        self.owed.clear()
        return told
