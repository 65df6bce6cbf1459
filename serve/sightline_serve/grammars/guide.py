"""One answer on its way through a grammar."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class GrammarError(Exception):
    """The grammar came to its limits in the middle of an answer."""


class Compiled:
    """See sampling.Grammar: a matcher that no answer has moved yet."""

    def __init__(self, matcher: Any) -> None:
        self.matcher = matcher

    def guide(self) -> Matching:
        return Matching(self.matcher.deep_copy())


class Matching:
    """See sampling.Guide."""

    def __init__(self, matcher: Any) -> None:
        self.matcher = matcher

    def allowed(self, vocabulary: int) -> Tensor:
        """Raises GrammarError. A model may have fewer logits than tokens, or more."""
        bits = np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8)
        mask = np.unpackbits(bits, bitorder="little").astype(bool)[:vocabulary]
        if self.matcher.is_error() or not mask.any():
            raise GrammarError
        return torch.from_numpy(np.pad(mask, (0, vocabulary - len(mask))))

    def advance(self, token: int) -> None:
        if not self.matcher.consume_token(token):
            raise GrammarError

    @property
    def done(self) -> bool:
        return bool(self.matcher.is_stopped())
