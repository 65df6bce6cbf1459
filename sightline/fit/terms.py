"""The parts that a sum of memory is made of, and what the sum is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["exact", "published", "estimate"]
"""exact: arithmetic from known numbers. published: somebody's rounded figure. estimate: an upper guess."""


def counted(number: int, thing: str) -> str:
    """Return '1 picture', '4 pictures'."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the memory: its name, bytes, how sure they are, and the arithmetic in words."""

    name: str
    bytes: int
    basis: Basis
    says: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked of the server at once.

    `context`: tokens of one conversation, pictures and answer included; `slots`: conversations at the same
    time; `pictures`: in each conversation, of `width` x `height` pixels.
    """

    context: int = 4096
    slots: int = 1
    pictures: int = 1
    width: int = 1344
    height: int = 1008
