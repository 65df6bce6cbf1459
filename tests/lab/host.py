"""Hosts as tests see them: run a command, make trouble, read what is there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import disks, lab, network, readiness, slow
from tests.lab.kinds import KINDS, Kind
from tests.lab.place import Place, Record

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Host:
    """A running host of a lab."""

    place: Place
    name: str

    @property
    def record(self) -> Record:
        return self.place.records()[self.name]

    @property
    def kind(self) -> Kind:
        return KINDS[self.record.kind]

    @property
    def address(self) -> str:
        return self._network().address(self.record.index)

    def door(self, port: int) -> tuple[str, int]:
        """Address and port at which this machine reaches the host's `port`."""
        return self._network().door(self.record, port)

    def run(self, command: str, *options: str, timeout: float = 120) -> Ended:
        """Run a shell command in the host; `options` are ssh's. Its output is shown when a test fails."""
        words = readiness.ssh(self.place, self.name, command)
        words[1:1] = options
        ended = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
        print(f"{self.name}$ {command}\n{ended.stdout}{ended.stderr}[{ended.returncode}]")
        return ended

    def says(self, command: str) -> str:
        """The standard output of a command that succeeds, stripped."""
        ended = self.run(command)
        assert ended.returncode == 0, f"{self.name}: `{command}` failed: {ended.stderr.strip()}"
        return ended.stdout.strip()

    def wait(self) -> None:
        """Until it can be worked with, for instance after a reboot."""
        readiness.wait_until_ready(self.place, self.record, thorough=True)

    def restart(self) -> None:
        """As its provider would stop and start it."""
        with self.place.locked():
            lab.restart(self.place, self.record)

    @contextmanager
    def slowed(self, latency: str = "0ms", loss: str = "0%") -> Iterator[None]:
        """Its network is slow and lossy meanwhile."""
        with self.place.locked():
            slow.switch_on(self.place, self.record, slow.seconds(latency), slow.share(loss))
        try:
            yield
        finally:
            with self.place.locked():
                slow.switch_off(self.place, self.record)

    @contextmanager
    def filled(self, path: str, leave: str = "0") -> Iterator[None]:
        """The disk that `path` lies on is full meanwhile, but for `leave`."""
        with self.place.locked():
            disks.fill(self.place, self.record, path, disks.size(leave))
        try:
            yield
        finally:
            with self.place.locked():
                disks.clear(self.place, self.record, path)

    def _network(self) -> network.Network:
        found = network.existing(self.place)
        assert found is not None, "the lab has no network"
        return found


@dataclass(frozen=True)
class Lab:
    """A lab of the tests' own, beside the one a person may have running."""

    place: Place

    def up(self, name: str, kind: str = "", on_disk: bool = False) -> Host:
        """Start a host, unless it runs already."""
        lab.up(self.place, [lab.Wish(name, kind or name, on_disk)])
        return Host(self.place, name)

    def down(self, *names: str) -> None:
        lab.down(self.place, names)

    @property
    def inventory(self) -> Path:
        return self.place.inventory
