"""Repeated measurements: their middle, their spread, and ratios of what was measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Samples:
    """One figure per round, in order; seconds, or a ratio without a unit."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("there is nothing to take the median of")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def over(self, other: Samples) -> Samples:
        """The ratio of each round's two figures: what slows the machine down for a while slows down both.

        Raises ValueError when the two have not as many rounds.
        """
        return Samples(tuple(mine / its for mine, its in zip(self.values, other.values, strict=True)))

    def to_dict(self, digits: int = 3) -> dict[str, Any]:
        """For JSON: median, low, high and every figure, rounded."""
        named = {"median": self.median, "low": self.low, "high": self.high}
        return {name: round(value, digits) for name, value in named.items()} | {
            "values": [round(value, digits) for value in self.values]
        }


def samples(values: Sequence[float]) -> Samples:
    """Samples of any sequence."""
    return Samples(tuple(values))


def spread(values: Samples, form: str, unit: str = "") -> str:
    """The median with the lowest and the highest, such as `1.20 s (1.10-1.31)`."""
    low, high = form.format(values.low), form.format(values.high)
    return f"{form.format(values.median)}{unit} ({low}-{high})"
