"""What finished requests left in the cache: a follow-up begins with it instead of reading it again.

Kept beside the running requests, on the model's device, up to a number of bytes. Two texts are the same as
far as their identities are: token for token, with the picture's content in the place of its tokens. Each
owner (a key) has texts of its own: an answer's speed and cached_tokens would tell of others' prompts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline_serve.kv_cache import Layers

Identity = NDArray[np.int64]  # a number a token
LEAST = 32  # tokens: less is read as fast as it is copied
MOST = 256  # texts: so that looking one up stays cheap, however short they are


@dataclass(frozen=True)
class Kept:
    owner: str
    identity: Identity
    layers: Layers
    size: int


class PrefixCache:
    def __init__(self, limit: int) -> None:
        """`limit` is in bytes; 0 keeps nothing."""
        self.limit = limit
        self.size = 0
        self.kept: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()

    def longest(self, identity: Identity, owner: str = "") -> tuple[Layers, int]:
        """What is kept of `owner` that begins most like this text, and for how many tokens; ({}, 0): none."""
        common, name = max(
            (
                (_common(kept.identity, identity), name)
                for name, kept in self.kept.items()
                if kept.owner == owner
            ),
            default=(0, ("", b"")),
        )
        if common < LEAST:
            return {}, 0
        self.kept.move_to_end(name)
        return self.kept[name].layers, common

    def wants(self, tokens: int, token_bytes: int) -> bool:
        """Whether a text of so many tokens would be kept at all."""
        return tokens >= LEAST and tokens * token_bytes <= self.limit

    def keep(self, identity: Identity, layers: Layers, owner: str = "") -> None:
        """`layers` hold the whole text, [1, heads, tokens, head size], in tensors of their own."""
        size = sum(tensor.nbytes for pair in layers.values() for tensor in pair)
        for name, old in list(self.kept.items()):
            known = len(old.identity)
            if old.owner == owner and known <= len(identity) and _common(old.identity, identity) == known:
                self._drop(name)  # the new one says all that it said
        self.kept[owner, identity.tobytes()] = Kept(owner, identity, layers, size)
        self.size += size
        while self.size > self.limit or len(self.kept) > MOST:
            self._drop(next(iter(self.kept)))

    def clear(self) -> None:
        self.kept.clear()
        self.size = 0

    def _drop(self, name: tuple[str, bytes]) -> None:
        self.size -= self.kept.pop(name).size


def _common(one: Identity, other: Identity) -> int:
    """How many tokens they begin with alike."""
    shorter = min(len(one), len(other))
    # Most have nothing in common: a look at a few tokens says so.
    if shorter < LEAST or not np.array_equal(one[:LEAST], other[:LEAST]):
        return 0
    different = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(different[0]) if len(different) else shorter
