"""The rounds: every command at every latency and number of hosts, one after the other, again and again."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sightline.bench.errors import BenchError
from sightline.bench.provision import witness
from sightline.bench.provision.hosts import Hosts
from sightline.bench.provision.result import NAMES, Point, Result, What
from sightline.bench.provision.workspace import Workspace
from sightline.bench.running import Ended
from sightline.bench.samples import samples

Say = Callable[[str], None]
_WORDS: dict[What, tuple[str, ...]] = {
    "ping": ("ansible", "sightline", "-m", "ping"),
    "deploy": ("ansible-playbook", "site.yml", "--skip-tags", "prove"),
    "deploy_and_prove": ("ansible-playbook", "site.yml"),
}


@dataclass(frozen=True)
class Wish:
    """What is to be measured: numbers of hosts, added round trips in seconds, rounds, commands.

    `kept`: commands find an open connection to the host; otherwise each makes its own.
    """

    hosts: tuple[int, ...]
    latencies: tuple[float, ...]
    rounds: int
    commands: tuple[What, ...]
    kept: bool


@dataclass
class Bench:
    """Hosts, the copy to deploy from, and whom to tell how far it is."""

    hosts: Hosts
    workspace: Workspace
    say: Say
    phases: list[tuple[str, float]] = field(default_factory=list)

    def measure(self, wish: Wish) -> Result:
        """Deploy to all hosts, count what a no-change run sends there, then measure. Raises BenchError."""
        self.say(f"deploying the canary to {len(self.hosts.names)} host(s), which takes a minute or more")
        ended = self.workspace.run("ansible-playbook", "site.yml", "-i", str(self.hosts.inventory))
        if ended.code != 0:
            raise BenchError(f"the canary could not be deployed:\n{_tail(ended)}")
        cold = ended.seconds
        witness.make_talkative(self.hosts)
        reached = {count: self._count(wish, count) for count in wish.hosts}
        places = [(latency, count) for latency in wish.latencies for count in wish.hosts]
        taken: dict[tuple[float, int, What], list[float]] = {}
        trips: dict[tuple[float, int], list[float]] = {place: [] for place in places}
        phases: dict[tuple[float, int], dict[str, list[float]]] = {place: {} for place in places}
        for number in range(1, wish.rounds + 1):
            # Every second round goes the other way, so that no command always follows the same other one.
            back = -1 if number % 2 == 0 else 1
            for latency in wish.latencies[::back]:
                self.hosts.slow_down(latency)
                for count in wish.hosts[::back]:
                    trips[latency, count] += [
                        self.hosts.round_trip(name) for name in self.hosts.names[:count]
                    ]
                    for what in wish.commands[::back]:
                        ended = self._timed(what, count, wish.kept)
                        taken.setdefault((latency, count, what), []).append(ended.seconds)
                        if what == wish.commands[-1]:
                            for name, seconds in self.phases:
                                phases[latency, count].setdefault(name, []).append(seconds)
                        self.say(
                            f"round {number} of {wish.rounds}, {count} host(s), {latency * 1e3:g} ms: "
                            f"{NAMES[what]} {ended.seconds:.2f} s"
                        )
        self.hosts.slow_down(0)
        points = [
            Point(
                count,
                latency,
                statistics.median(trips[latency, count]),
                {what: samples(taken[latency, count, what]) for what in wish.commands},
                {name: statistics.median(seconds) for name, seconds in phases[latency, count].items()},
            )
            for latency, count in places
        ]
        return Result(points, reached, cold)

    def _count(self, wish: Wish, count: int) -> dict[What, witness.Reached]:
        """What each command sends to the host that it sends most to. It is also every command's warm-up."""
        most: dict[What, witness.Reached] = {}
        names = self.hosts.names[:count]
        for what in wish.commands:
            with witness.watching(self.hosts, names) as seen:
                self._timed(what, count, kept=False)
            if not all(it.sessions and it.connections for it in seen.values()):
                raise BenchError(f"{NAMES[what]} reached a host whose sshd knows nothing of it")
            most[what] = max(seen.values(), key=lambda it: it.sessions)
            self.say(f"counted at {count} host(s): {NAMES[what]} {most[what].sessions} session(s)")
        return most

    def _timed(self, what: What, count: int, kept: bool) -> Ended:
        """Run a command on the first hosts, and see that it changed nothing. Raises BenchError."""
        reach = ("-i", str(self.hosts.inventory), "--limit", ",".join(self.hosts.names[:count]))
        self.workspace.hang_up()
        if kept:
            self.workspace.run(*_WORDS["ping"], *reach)
        figures = self.workspace.folder / ".sightline/bench-phases.json"
        figures.unlink(missing_ok=True)
        ended = self.workspace.run(*_WORDS[what], *reach, more={"SIGHTLINE_PHASES_FILE": str(figures)})
        if ended.code != 0:
            raise BenchError(f"{NAMES[what]} failed:\n{_tail(ended)}")
        if what != "ping":
            self.phases = read_phases(figures, count)
        elif len(re.findall(r"\| SUCCESS =>", ended.output)) != count:
            raise BenchError(f"not all of {count} host(s) answered ping:\n{_tail(ended)}")
        return ended


def read_phases(figures: Path, count: int) -> list[tuple[str, float]]:
    """Each play's name and seconds. Raises BenchError unless it was `count` hosts and nothing changed."""
    try:
        told = json.loads(figures.read_text(encoding="utf-8"))
        changed = {host: counts["changed"] for host, counts in told["hosts"].items()}
        phases = [(str(play["name"]), float(play["seconds"])) for play in told["phases"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BenchError(f"what plugins/callback/phases.py wrote cannot be read: {problem}") from problem
    if len(changed) != count:
        raise BenchError(f"site.yml was played on {len(changed)} host(s) instead of {count}")
    if any(changed.values()):
        told_so = ", ".join(f"{host} {number}" for host, number in changed.items())
        raise BenchError(f"that was no no-change run, for tasks changed something ({told_so})")
    return phases


def _tail(ended: Ended, lines: int = 12) -> str:
    said: Sequence[str] = ended.output.strip().splitlines()
    return "\n".join(said[-lines:])
