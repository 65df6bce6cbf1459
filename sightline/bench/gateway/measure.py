"""The ways are asked in turn, round by round: whatever else the machine does meets each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.bench.errors import BenchError
from sightline.bench.gateway.ways import DIRECTLY, Pair, Weight
from sightline.bench.samples import Samples, samples
from sightline.bench.serve.load import Answer, Round, play
from sightline.bench.serve.measure import percentile

TOKENS = 64
"""Of an answer at most; the canary ends by itself before."""


@dataclass(frozen=True)
class Asked:
    """What one way gave to so many clients, round by round."""

    way: str
    clients: int
    rounds: tuple[Round, ...]

    @property
    def per_second(self) -> Samples:
        return samples([found.per_second for found in self.rounds])

    @property
    def right(self) -> int:
        return sum(found.right for found in self.rounds)

    @property
    def answers(self) -> tuple[Answer, ...]:
        return tuple(answer for found in self.rounds for answer in found.answers)

    def seconds(self, what: str, percent: int) -> float:
        """A percentile of all answers; `what` is `first` (text) or `whole`."""
        return percentile([getattr(answer, what) for answer in self.answers], percent)

    def middles(self, what: str) -> list[float]:
        """The median of each round, in seconds."""
        return [percentile([getattr(answer, what) for answer in found.answers], 50) for found in self.rounds]

    def to_dict(self) -> dict[str, Any]:
        percents = {
            f"{name}_seconds": {f"p{percent}": round(self.seconds(what, percent), 4) for percent in (50, 99)}
            for name, what in (("answer", "whole"), ("first_text", "first"))
        }
        counted = {"answers": len(self.answers), "right": self.right}
        told = {"way": self.way, "clients": self.clients, "requests_per_second": self.per_second.to_dict()}
        return {**told, **percents, **counted}


@dataclass(frozen=True)
class Added:
    """What a way costs against asking directly, with as many clients. Times in seconds: `answer` and `first`
    are the differences of the rounds' medians, `slowest` that of all answers' 99th percentiles; `rate` is the
    ratio of the requests a second.
    """

    way: str
    clients: int
    answer: Samples
    first: Samples
    slowest: float
    rate: Samples

    def to_dict(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "clients": self.clients,
            "answer_p50_seconds": self.answer.to_dict(4),
            "first_text_p50_seconds": self.first.to_dict(4),
            "answer_p99_seconds": round(self.slowest, 4),
            "requests_per_second_ratio": self.rate.to_dict(),
        }


def measure(
    pair: Pair, crowds: Sequence[int], requests: int, rounds: int, say: Callable[[str], None]
) -> tuple[list[Asked], Weight]:
    """Every way asked by each number of clients; the first round only warms up. The weight is what the
    gateway holds at the end. Raises BenchError.
    """
    kept: dict[tuple[str, int], list[Round]] = {
        (way.name, crowd): [] for crowd in crowds for way in pair.ways
    }
    start = 0
    for number in range(rounds + 1):
        # Turned by one each round, so that nobody always comes after the same neighbour.
        turned = [*pair.ways[number % len(pair.ways) :], *pair.ways[: number % len(pair.ways)]]
        for crowd in crowds:
            for way in turned:
                try:
                    found = play(way.base, pair.subject, crowd, requests, TOKENS, start, **way.how)
                except BenchError as problem:
                    raise BenchError(f"{way.name}: {problem}") from problem
                start += requests
                if number:
                    kept[way.name, crowd].append(found)
        if number:
            say(f"round {number} of {rounds}")
    return [Asked(way, crowd, tuple(found)) for (way, crowd), found in kept.items()], pair.weight()


def added(found: Sequence[Asked]) -> list[Added]:
    """Every way but the direct one against it."""
    directly: Mapping[int, Asked] = {asked.clients: asked for asked in found if asked.way == DIRECTLY}
    return [_against(asked, directly[asked.clients]) for asked in found if asked.way != DIRECTLY]


def _against(asked: Asked, directly: Asked) -> Added:
    def middles(what: str) -> Samples:
        pairs = zip(asked.middles(what), directly.middles(what), strict=True)
        return samples([mine - its for mine, its in pairs])

    slowest = asked.seconds("whole", 99) - directly.seconds("whole", 99)
    rate = asked.per_second.over(directly.per_second)
    return Added(asked.way, asked.clients, middles("whole"), middles("first"), slowest, rate)
