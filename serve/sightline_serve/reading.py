"""A prompt on its way into the cache: what the text model reads, and how much of whom in one forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sightline_serve.kv_cache import Row


@dataclass(frozen=True)
class Prompt:
    """A request that is ready to run; `inputs` are what the processor made of it, with a batch of one.

    `pictures` counts them; `keys` tells their contents apart, one each.
    """

    inputs: dict[str, Tensor]
    length: int
    pictures: int
    keys: tuple[bytes, ...] = ()

    @property
    def tokens(self) -> list[int]:
        ids: list[int] = self.inputs["input_ids"][0].tolist()
        return ids


@dataclass(frozen=True)
class Cross:
    """Pictures that the text looks at from layers of its own: states [places, width].

    `sees` [tokens, pictures, tiles], 1 or 0, says which token looks at which part of them.
    """

    states: Tensor
    sees: Tensor


@dataclass(frozen=True)
class Text:
    """A prompt, its pictures merged in: embeddings [tokens, width] and positions [axes, tokens].

    The token at place n after the prompt has position n + `offset`.
    """

    embeddings: Tensor
    positions: Tensor
    offset: int = 0
    cross: Cross | None = None


@dataclass(frozen=True)
class Chunk:
    """The tokens `start` to `stop` of a text, for one row."""

    row: Row
    text: Text
    start: int
    stop: int


class Unread(Protocol):
    """A request whose prompt is not in the cache yet, or not whole."""

    row: Row | None

    @property
    def left(self) -> int: ...


def together(unread: Sequence[Unread], tokens: int) -> list[tuple[int, int]]:
    """Who is read in the next forward, and how many tokens of each: pairs (index in `unread`, tokens).

    The first always is, up to `tokens`; others join in their order while all of them, padded to the longest,
    stay within `tokens`, and while their rows lie side by side.
    """
    chosen = [(0, min(unread[0].left, tokens))]
    first = unread[0].row
    taken = {first.index} if first else set()
    for number, other in enumerate(unread[1:], 1):
        width = max(chosen[0][1], *(count for _, count in chosen), other.left)
        if width * (len(chosen) + 1) > tokens or other.row is None:
            continue
        if other.row.index + 1 in taken or other.row.index - 1 in taken:
            chosen.append((number, other.left))
            taken.add(other.row.index)
    return chosen
