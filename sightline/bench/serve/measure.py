"""All servers at once, asked in turn: whatever else the machine does meets each of them."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.bench.errors import BenchError
from sightline.bench.samples import Samples, samples
from sightline.bench.serve.load import Round, play
from sightline.bench.serve.peers import OURS, Peer
from sightline.bench.serve.server import Server
from sightline.bench.serve.subjects import Subject

ALONE = {"Connection": "close"}
"""Each request has a connection of its own: llama.cpp's server closes open ones while they are used again."""
WEIGHED_EVERY = 1.0
"""Seconds between two looks at a server's memory while it is asked; a look costs milliseconds of a core."""


@dataclass(frozen=True)
class Work:
    """`requests` a round by `clients` at once, answers of at most `tokens`; the first round only warms up."""

    clients: int
    requests: int
    tokens: int
    rounds: int


@dataclass(frozen=True)
class Measured:
    """One server. Times in seconds, memory in bytes at most, `cold` from its start to its first answer."""

    name: str
    per_second: Samples
    first: tuple[float, ...]
    whole: tuple[float, ...]
    right: int
    memory: int
    cold: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "requests_per_second": self.per_second.to_dict(),
            "first_token_seconds": {"p50": _at(self.first, 50), "p99": _at(self.first, 99)},
            "latency_seconds": {"p50": _at(self.whole, 50), "p99": _at(self.whole, 99)},
            "answers": len(self.whole),
            "right": self.right,
            "peak_memory_bytes": self.memory,
            "cold_start_seconds": round(self.cold, 2),
        }


def measure(
    peers: Mapping[str, tuple[Peer, Path]],
    subject: Subject,
    work: Work,
    scratch: Path,
    say: Callable[[str], None],
) -> list[Measured]:
    """Start `peers`, each with its environment's folder, ask them in turn, end them. Raises BenchError."""
    with ExitStack() as running:
        servers = []
        for peer, environment in peers.values():
            log = scratch / f"{peer.name.replace(' ', '-')}.log"
            server = Server(peer, environment, subject, work.clients, log)
            running.callback(server.end)
            server.wait_until_it_answers()
            say(f"{peer.name}: first answer after {server.start_seconds:.1f} s")
            servers.append(server)
        rounds: dict[str, list[Round]] = {server.peer.name: [] for server in servers}
        memory = dict.fromkeys(rounds, 0)
        for number in range(work.rounds + 1):
            # Turned by one each round, so that nobody always comes after the same neighbour.
            for server in [*servers[number % len(servers) :], *servers[: number % len(servers)]]:
                name, start = server.peer.name, number * work.requests
                with _weighed(server) as most, _named(name):
                    found = play(
                        server.base, subject, work.clients, work.requests, work.tokens, start, headers=ALONE
                    )  # fmt: skip
                memory[name] = max(memory[name], most[0])
                if number:
                    rounds[name].append(found)
                    say(f"round {number} of {work.rounds}: {name} {found.per_second:.2f} requests/s")
        return [_measured(server, rounds[server.peer.name], memory[server.peer.name]) for server in servers]


def ratios(found: Sequence[Measured]) -> dict[str, Samples]:
    """Requests a second of ours over each other server's, round by round."""
    ours = next((one for one in found if one.name == OURS), None)
    if ours is None:
        return {}
    return {one.name: ours.per_second.over(one.per_second) for one in found if one is not ours}


def _measured(server: Server, rounds: Sequence[Round], memory: int) -> Measured:
    answers = [answer for found in rounds for answer in found.answers]
    return Measured(
        server.peer.name,
        samples([found.per_second for found in rounds]),
        tuple(answer.first for answer in answers),
        tuple(answer.whole for answer in answers),
        sum(answer.right for answer in answers),
        memory,
        server.start_seconds,
    )


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Says whose failure it was."""
    try:
        yield
    except BenchError as problem:
        raise BenchError(f"{name}: {problem}") from problem


@contextmanager
def _weighed(server: Server) -> Iterator[list[int]]:
    """Looks at the server's memory from time to time; the list's only entry is the most it was."""
    most, ended = [server.memory()], threading.Event()

    def look() -> None:
        while not ended.wait(WEIGHED_EVERY):
            most[0] = max(most[0], server.memory())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()
        most[0] = max(most[0], server.memory())


def _at(values: Sequence[float], percent: int) -> float:
    return round(percentile(values, percent), 4)


def percentile(values: Sequence[float], percent: int) -> float:
    """Of some values, interpolated as `statistics.quantiles` does inclusively; of one value, itself."""
    if not values:
        raise BenchError("there is no answer to take a percentile of")
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
