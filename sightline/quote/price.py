"""What the hours cost. Prices have no currency here: it is the one that the person has in mind."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sightline.quote.rates import human_seconds
from sightline.quote.speed import Speed
from sightline.quote.timing import Stage, total_seconds

CPU_PRICE_SHARE = 0.1
"""Price of a box without a GPU as a share of the GPU box's, where nobody says. An assumption."""
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of an answer to a question with a picture, the median of `answers`, and where that was seen."""

    seconds: float
    answers: int
    where: str


@dataclass(frozen=True, slots=True)
class PerThousand:
    """A thousand pictures, one after another: seconds, cost (None without a price), and whence."""

    seconds: float
    cost: float | None
    measured: bool
    says: str


@dataclass(frozen=True, slots=True)
class Price:
    """Costs in the currency of `per_hour`; None stands for "not known"."""

    per_hour: float | None
    first_answer: float | None
    download: float | None
    hint: str | None
    per_thousand: PerThousand | None

    def to_dict(self) -> dict[str, Any]:
        """Return the price as plain JSON values."""
        return asdict(self)


def price(
    per_hour: float | None,
    cpu_per_hour: float | None,
    found: list[Stage],
    speed: Speed | None,
    answer_tokens: int,
    measured: Measured | None,
) -> Price:
    """Work out the costs; `speed` is that of one picture, used for a thousand where nothing was measured."""
    seconds = total_seconds(found)
    downloads = [stage.seconds for stage in found if stage.name.startswith("download")]
    known = [each for each in downloads if each is not None]
    download = sum(known) if known and len(known) == len(downloads) else None
    return Price(
        per_hour=per_hour,
        first_answer=cost(seconds, per_hour),
        download=cost(download, per_hour),
        hint=cheap_box_hint(download, per_hour, cpu_per_hour),
        per_thousand=_thousand(per_hour, speed, answer_tokens, measured),
    )


def cost(seconds: float | None, per_hour: float | None) -> float | None:
    """Return what so many seconds cost; None where either is not known."""
    return None if seconds is None or per_hour is None else seconds / HOUR * per_hour


def cheap_box_hint(seconds: float | None, per_hour: float | None, cpu_per_hour: float | None) -> str | None:
    """Say that a box without a GPU should download first, where that costs less; None where not.

    The cheap box is counted by the started hour, the GPU box by the second: so the hint errs to silence.
    """
    if seconds is None or per_hour is None:
        return None
    there = cpu_per_hour if cpu_per_hour is not None else per_hour * CPU_PRICE_SHARE
    here, elsewhere = seconds / HOUR * per_hour, math.ceil(seconds / HOUR) * there
    if here <= elsewhere:
        return None
    said = "" if cpu_per_hour is not None else " (taken for a tenth of this price; say --cpu-price-per-hour)"
    return (
        f"the download holds the GPU for {human_seconds(seconds)}, which costs {here:.2f}; on a box without "
        f"a GPU and with the same data disk it costs {elsewhere:.2f}{said}: download there first, then switch"
    )


def _thousand(
    per_hour: float | None, speed: Speed | None, answer_tokens: int, measured: Measured | None
) -> PerThousand | None:
    if measured is not None:
        seconds = 1000 * measured.seconds
        says = f"median of {measured.answers} answers, {measured.where}"
        return PerThousand(seconds, cost(seconds, per_hour), True, says)
    if speed is None:
        return None
    seconds = 1000 * speed.answer(answer_tokens)
    says = f"estimate: roofline, {answer_tokens} tokens of answer each, one after another"
    return PerThousand(seconds, cost(seconds, per_hour), False, says)
