"""The hosts to measure on: of scripts/lab, in a lab of their own."""

from __future__ import annotations

import shutil
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from sightline.bench.errors import BenchError, NotHere
from sightline.bench.running import Ended, run
from sightline.layout import CHECKOUT

KIND = "debian12"
"""The lab's plainest server: systemd, root by key."""
_CANNOT = 3
_KNOCKS = 5


@dataclass(frozen=True)
class Hosts:
    """Hosts that run. `folder` is their lab's."""

    folder: Path
    names: tuple[str, ...]

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.yml"

    def ssh(self, name: str, command: str) -> str:
        """What a command says on the host. Raises BenchError when it fails."""
        words = ["ssh", "-F", str(self.folder / "ssh_config"), name, command]
        ended = run(words, folder=self.folder, timeout=120)
        if ended.code != 0:
            raise BenchError(f"`{command}` failed on {name}: {_last(ended)}")
        return ended.output

    def wait(self, name: str, patience: float) -> None:
        """Until ssh gets in. Raises BenchError after `patience` seconds, with what ssh said last."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self.ssh(name, "true")
                return
            except BenchError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def slow_down(self, latency: float) -> None:
        """Add `latency` seconds to every host's round trip, or with 0 none."""
        words = ["--latency", f"{latency * 1e3:g}ms"] if latency else ["--off"]
        for name in self.names:
            _lab(self.folder, "slow", name, *words)

    def round_trip(self, name: str) -> float:
        """Seconds that the handshake of a TCP connection takes, one round trip; the median of five."""
        told = yaml.safe_load(self.inventory.read_text(encoding="utf-8"))["sightline"]["hosts"][name]
        return statistics.median(_knock(told["ansible_host"], told["ansible_port"]) for _ in range(_KNOCKS))


@contextmanager
def hosts(folder: Path, count: int) -> Iterator[Hosts]:
    """Start `count` hosts, and take them down at the end. What an earlier run left in `folder` goes first.

    Raises NotHere where there can be no lab, BenchError when it does not start.
    """
    names = tuple(f"bench{number}" for number in range(1, count + 1))
    _lab(folder, "down")
    try:
        _lab(folder, "up", *(f"{name}={KIND}" for name in names))
        yield Hosts(folder, names)
    finally:
        _lab(folder, "down")
        shutil.rmtree(folder, ignore_errors=True)  # the lab's keys


def _lab(folder: Path, *words: str) -> Ended:
    ended = run([str(CHECKOUT / "scripts/lab"), "--folder", str(folder), *words], folder=CHECKOUT)
    if ended.code == _CANNOT:
        raise NotHere(ended.output.strip().removeprefix("not run: "))
    if ended.code != 0:
        raise BenchError(f"scripts/lab {' '.join(words)}: {_last(ended).removeprefix('lab: ')}")
    return ended


def _knock(address: str, port: int) -> float:
    started = time.monotonic()
    try:
        with socket.create_connection((address, port), timeout=30):
            return time.monotonic() - started
    except OSError as problem:
        raise BenchError(f"{address}:{port} does not answer: {problem}") from problem


def _last(ended: Ended) -> str:
    lines: Sequence[str] = ended.output.strip().splitlines()
    return lines[-1] if lines else f"it ended with exit code {ended.code} and said nothing"
