"""Rounds of downloads of one file over one link, each by another program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sightline.bench.errors import BenchError
from sightline.bench.running import run
from sightline.bench.samples import Samples, samples
from sightline.layout import CHECKOUT

LEAST_SHARE: Final = 0.9
"""Budget: what sightline-fetch gets of what the better of curl and aria2 gets on the same link."""
OURS: Final = "sightline-fetch"
RIVALS: Final = ("curl", "aria2")
AFTER: Final = "sha256sum {0} && sync -d {0}"
"""What makes a rival's file as sure as one of sightline-fetch: the right bytes, and on the disk."""
SURE: Final = ", sha256sum, sync"
"""Ends the names of rivals with that."""
ROUND_TRIPS: Final = {"loopback": (0.0, 0.0), "1gbit-100ms": (125e6, 0.05)}
"""Links by name: bytes a second (0: as it comes) and seconds each way."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class OnLink:
    """Wall times in seconds over one link, by program; `peaks`: the most memory that each held, in bytes."""

    link: str
    size: int
    times: Mapping[str, Samples]
    peaks: Mapping[str, int]

    @property
    def shares(self) -> Samples:
        """Round by round, what ours gets of what the best rival gets: 1 is as fast."""
        return self._against(RIVALS)

    @property
    def same_work(self) -> Samples:
        """The same against rivals that hash and sync what they got, as ours does."""
        return self._against([name + SURE for name in RIVALS])

    def _against(self, names: Sequence[str]) -> Samples:
        rivals = [self.times[name] for name in names if name in self.times]
        best = samples([min(round) for round in zip(*(each.values for each in rivals), strict=True)])
        return best.over(self.times[OURS])

    @property
    def kept(self) -> bool:
        return self.shares.median >= LEAST_SHARE

    def to_dict(self) -> dict[str, Any]:
        """For JSON; times in seconds."""
        return {
            "link": self.link,
            "bytes": self.size,
            "seconds": {name: each.to_dict(2) for name, each in self.times.items()},
            "peak_bytes": dict(self.peaks),
            "share_of_the_best": self.shares.to_dict(3),
            "share_of_the_best_doing_the_same": self.same_work.to_dict(3),
            "kept": self.kept,
        }


def measure(folder: Path, link: str, size: int, rounds: int, say: Say) -> OnLink:
    """Download `size` bytes over `link` by each program that is there, in turn. Raises BenchError."""
    rate, delay = ROUND_TRIPS[link]
    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    with _served(size) as (hub, at), _relayed(int(at), rate, delay) if rate else _directly(at) as port:
        base = f"http://127.0.0.1:{port}"
        commands = programs(folder, base, hub)
        run([*commands[OURS], "--help"], folder=folder, environment=_environment(folder))  # compiles it
        for number in range(1, rounds + 1):
            turn = list(commands.items())
            for name, command in turn if number % 2 else reversed(turn):
                shutil.rmtree(folder / "got", ignore_errors=True)
                (folder / "got").mkdir(parents=True)
                ended = run(command, folder=folder, environment=_environment(folder))
                after = run(["sh", "-c", AFTER.format("got/model.bin")], folder=folder)
                if ended.code != 0 or not after.output.startswith(str(hub["sha256"])):
                    raise BenchError(f"{name} did not bring the file: {ended.output.strip()[-300:]}")
                times.setdefault(name, []).append(ended.seconds)
                if name in RIVALS:
                    times.setdefault(name + SURE, []).append(ended.seconds + after.seconds)
                peaks[name] = max(ended.peak, peaks.get(name, 0))
                say(f"{link}, round {number} of {rounds}: {name} {ended.seconds:.2f} s")
    shutil.rmtree(folder / "got", ignore_errors=True)
    return OnLink(link, size, {name: samples(values) for name, values in times.items()}, peaks)


def programs(folder: Path, base: str, hub: Mapping[str, Any]) -> dict[str, list[str]]:
    """The command of each program that is on this machine. Raises BenchError: curl is missing."""
    entry = folder / "entry.json"
    entry.parent.mkdir(parents=True, exist_ok=True)
    files = [{"path": hub["path"], "size": hub["size"], "sha256": hub["sha256"]}]
    entry.write_text(json.dumps({"repo": hub["repo"], "commit": hub["commit"], "files": files}))
    url = f"{base}/{hub['repo']}/resolve/{hub['commit']}/{hub['path']}"
    fetch = [sys.executable, "-m", "sightline_fetch", "--quiet", "--entry", str(entry)]
    found = {OURS: [*fetch, "--source", base, "--target", str(folder / "got")]}
    if not shutil.which("curl"):
        raise BenchError("there is no curl to measure against: install it")
    found["curl"] = ["curl", "-sSf", "-o", str(folder / "got/model.bin"), url]
    if shutil.which("aria2c"):
        words = ["-x8", "-s8", "-k4M", "-q", "--file-allocation=falloc", "-d", str(folder / "got"), url]
        found["aria2"] = ["aria2c", *words]
    if hf := _hf():
        revision = ["--revision", hub["commit"], "--local-dir", str(folder / "got")]
        found["hf download"] = [hf, "download", hub["repo"], hub["path"], *revision, "--quiet"]
        found["hf download"] = ["env", f"HF_ENDPOINT={base}", *found["hf download"]]
    return found


def _hf() -> str | None:
    beside = [CHECKOUT / f".venv/{name}/bin/hf" for name in ("dev", "engine")]
    return shutil.which("hf") or next((str(path) for path in beside if path.exists()), None)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    hub = {"HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    for name in ("HF_TOKEN", "PYTHONDONTWRITEBYTECODE"):  # compiled once, as on a user's machine
        kept.pop(name, None)
    return kept | hub | {"HF_HUB_OFFLINE": "0", "PYTHONPATH": str(CHECKOUT / "serve")}


@contextmanager
def _served(size: int) -> Iterator[tuple[dict[str, Any], str]]:
    """What the stand-in hub says of itself, and its port."""
    with _started([str(CHECKOUT / "tests/stand_ins/serve_hub.py"), str(size)]) as line:
        hub = json.loads(line)
        yield hub, str(hub["url"]).rpartition(":")[2]


@contextmanager
def _relayed(port: int, rate: float, delay: float) -> Iterator[str]:
    with _started(["-m", "sightline.bench.fetch.relay", str(port), str(rate), str(delay)]) as line:
        yield line.strip()


@contextmanager
def _directly(port: str) -> Iterator[str]:
    yield port


@contextmanager
def _started(words: list[str]) -> Iterator[str]:
    """A Python program that runs meanwhile; its first line. Raises BenchError."""
    process = subprocess.Popen(
        [sys.executable, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"{words[0]} did not start")
        yield line
    finally:
        process.kill()
        process.wait()
