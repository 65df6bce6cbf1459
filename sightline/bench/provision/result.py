"""What was measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sightline.bench.provision.witness import Reached
from sightline.bench.samples import Samples, samples

What = Literal["ping", "deploy", "deploy_and_prove"]
NAMES: Final[Mapping[What, str]] = {
    "ping": "ansible -m ping",
    "deploy": "site.yml less the proof",
    "deploy_and_prove": "site.yml",
}
MOST_TASKS: Final = 12
MOST_PINGS: Final = 5.0
"""Budgets of a no-change run: tasks that reach the host, and wall time as a multiple of ping's."""


@dataclass(frozen=True)
class Point:
    """One setting: hosts, added round trip and measured round trip in seconds, and each command's wall times.

    `phases`: median seconds of each play of site.yml, by its name, in order.
    """

    hosts: int
    latency: float
    round_trip: float
    seconds: Mapping[What, Samples]
    phases: Mapping[str, float]

    def pings(self, what: What) -> Samples:
        """A command's wall time as a multiple of ping's, round by round."""
        return self.seconds[what].over(self.seconds["ping"])


@dataclass(frozen=True)
class Budget:
    """A limit and the worst that was measured against it."""

    what: str
    limit: float
    worst: float

    @property
    def kept(self) -> bool:
        return self.worst <= self.limit


@dataclass(frozen=True)
class Result:
    """All points, and what reached the host that was reached most: by number of hosts and command."""

    points: Sequence[Point]
    reached: Mapping[int, Mapping[What, Reached]]
    cold_seconds: float

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Both budgets of a no-change run less the proof, whose time is up to the model."""
        tasks = max(by_command["deploy"].sessions for by_command in self.reached.values())
        pings = max(point.pings("deploy").median for point in self.points)
        return (
            Budget("sessions on a host, and so tasks that reach it", MOST_TASKS, tasks),
            Budget("wall time as a multiple of ping's", MOST_PINGS, pings),
        )

    def against_fewest(self, what: What) -> list[tuple[Point, Point, Samples]]:
        """Points with more hosts than the fewest, with those at the same latency, and the ratio of times."""
        fewest = min(point.hosts for point in self.points)
        few = {point.latency: point for point in self.points if point.hosts == fewest}
        return [
            (point, few[point.latency], point.seconds[what].over(few[point.latency].seconds[what]))
            for point in self.points
            if point.hosts != fewest
        ]

    def round_trips(self, what: What) -> list[tuple[Point, Samples]]:
        """How many round trips a command waits for, round by round: the time a latency adds, over it."""
        lowest = min(point.latency for point in self.points)
        near = {point.hosts: point for point in self.points if point.latency == lowest}
        told = []
        for point in self.points:
            base = near[point.hosts]
            if point.round_trip > base.round_trip and point.latency != lowest:
                pairs = zip(point.seconds[what].values, base.seconds[what].values, strict=True)
                added = point.round_trip - base.round_trip
                told.append((point, samples([(far - here) / added for far, here in pairs])))
        return told

    def to_dict(self) -> dict[str, Any]:
        """For JSON; times in seconds."""
        return {
            "points": [
                {
                    "hosts": point.hosts,
                    "latency": point.latency,
                    "round_trip": round(point.round_trip, 5),
                    "seconds": {what: taken.to_dict() for what, taken in point.seconds.items()},
                    "pings": {what: point.pings(what).to_dict(2) for what in point.seconds if what != "ping"},
                    "phases": {name: round(seconds, 2) for name, seconds in point.phases.items()},
                }
                for point in self.points
            ],
            "reached": {
                str(hosts): {
                    what: {"sessions": it.sessions, "connections": it.connections} for what, it in by.items()
                }
                for hosts, by in self.reached.items()
            },
            "more_hosts": [
                {"what": what, "hosts": more.hosts, "against": few.hosts, "latency": more.latency}
                | {"ratio": ratio.to_dict(2)}
                for what in self.points[0].seconds
                for more, few, ratio in self.against_fewest(what)
            ],
            "round_trips": [
                {"what": what, "hosts": point.hosts, "latency": point.latency} | {"count": trips.to_dict(1)}
                for what in self.points[0].seconds
                for point, trips in self.round_trips(what)
            ],
            "cold_seconds": round(self.cold_seconds, 1),
            "budgets": [
                {"what": it.what, "limit": it.limit, "worst": round(it.worst, 2), "kept": it.kept}
                for it in self.budgets
            ],
        }
