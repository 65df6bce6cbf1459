"""Where a lab keeps its files, what it calls its things, and what it wrote down about its hosts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.processes import Process

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Slow:
    """A slowed link: round trip in seconds on top of the link's own, share of packets lost each way."""

    relay: Process
    latency: float
    loss: float


@dataclass(frozen=True)
class Record:
    """A host that was started. `index` is the last part of its address, `disks` are its tmpfs: bytes."""

    name: str
    kind: str
    index: int
    keeper: Process
    disks: dict[str, int]
    slow: Slow | None = None
    full: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A lab's folder. Everything outside it carries the tag, which no other folder has."""

    folder: Path
    cache: Path

    @classmethod
    def usual(cls) -> Place:
        """The lab that `scripts/lab` speaks of."""
        return cls.at(CHECKOUT / ".sightline/lab")

    @classmethod
    def at(cls, folder: Path) -> Place:
        """Another lab, which shares the base trees of this checkout."""
        return cls(folder.resolve(), CHECKOUT / ".sightline/lab/base")

    @property
    def tag(self) -> str:
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:5]

    @property
    def group(self) -> str:
        """Its control group; `table` is its nft table, `bridge` its bridge (15 characters at most)."""
        return f"sightline-lab-{self.tag}"

    @property
    def table(self) -> str:
        return f"sightline_lab_{self.tag}"

    @property
    def bridge(self) -> str:
        return f"sightline-{self.tag}"

    def link(self, letter: str, index: int | str) -> str:
        """A link of host `index`: h its cable; n, f, b the relay's near and far end and its own bridge."""
        return f"sl{self.tag}{letter}{index}"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.yml"

    def host(self, name: str) -> Path:
        return self.folder / "hosts" / name

    def records(self) -> dict[str, Record]:
        """What was written down, whether or not it still runs."""
        found = {}
        for file in sorted(self.folder.glob("hosts/*/record.json")):
            record = _read(file)
            if record is not None:
                found[record.name] = record
        return found

    def write(self, record: Record) -> None:
        file = self.host(record.name) / "record.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record), indent=1))
        draft.replace(file)

    def forget(self, name: str) -> None:
        shutil.rmtree(self.host(name), ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time changes a lab."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(file: Path) -> Record | None:
    """None for a file that a crash left half-written: such a host is swept like any dead one."""
    try:
        told = json.loads(file.read_text())
        slow = told["slow"] and Slow(
            Process(**told["slow"]["relay"]), told["slow"]["latency"], told["slow"]["loss"]
        )
        return Record(
            **told | {"keeper": Process(**told["keeper"]), "slow": slow, "full": tuple(told["full"])}
        )
    except (ValueError, KeyError, TypeError):
        return None
