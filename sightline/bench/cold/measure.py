"""Rounds of first deployments: by site.yml, and by the bare commands, each on an untouched host."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sightline.bench.errors import BenchError
from sightline.bench.provision.hosts import hosts
from sightline.bench.provision.workspace import Workspace
from sightline.bench.running import Ended, run
from sightline.bench.samples import Samples, samples

FLOOR: Final = Path(__file__).with_name("floor.sh")
SENT: Final = (
    "serve/sightline_serve",
    "canary/weights",
    *(f"requirements/{name}.lock.txt" for name in ("pip", "torch-cpu", "engine-cpu")),
)
MOST_FLOORS: Final = 1.15
"""Budget of a first deployment: its wall time as a multiple of the bare commands'."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cold:
    """Wall times in seconds, round by round, and of the last round the parts of each."""

    deploy: Samples
    floor: Samples
    phases: Sequence[tuple[str, float]]
    parts: Sequence[tuple[str, float]]

    @property
    def floors(self) -> Samples:
        return self.deploy.over(self.floor)

    @property
    def kept(self) -> bool:
        return self.floors.median <= MOST_FLOORS

    def to_dict(self) -> dict[str, Any]:
        """For JSON; times in seconds."""
        return {
            "seconds": {"deploy": self.deploy.to_dict(2), "floor": self.floor.to_dict(2)},
            "floors": self.floors.to_dict(2),
            "phases": {name: round(seconds, 2) for name, seconds in self.phases},
            "parts": {name: round(seconds, 2) for name, seconds in self.parts},
            "budgets": [
                {
                    "what": "wall time as a multiple of the bare commands'",
                    "limit": MOST_FLOORS,
                    "worst": round(self.floors.median, 2),
                    "kept": self.kept,
                }
            ],
        }


def measure(lab: Path, workspace: Workspace, rounds: int, say: Say) -> Cold:
    """Deploy in both ways, `rounds` times, in turn. Raises BenchError, NotHere."""
    deploys: list[Ended] = []
    floors: list[Ended] = []
    for number in range(1, rounds + 1):
        both: list[tuple[str, Callable[[], Ended]]] = [
            ("site.yml less the proof", lambda: _deploy(lab, workspace)),
            ("the bare commands", lambda: _bare(lab, workspace)),
        ]
        for name, way in both if number % 2 else reversed(both):
            ended = way()
            (deploys if way is both[0][1] else floors).append(ended)
            say(f"round {number} of {rounds}: {name} {ended.seconds:.1f} s")
    return Cold(
        samples([ended.seconds for ended in deploys]),
        samples([ended.seconds for ended in floors]),
        phases_of(workspace.folder / ".sightline/bench-phases.json"),
        parts_of(floors[-1].output),
    )


def phases_of(file: Path) -> list[tuple[str, float]]:
    """The plays of the last site.yml and their seconds, as plugins/callback/phases.py wrote them."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return [(str(play["name"]), float(play["seconds"])) for play in told["phases"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BenchError(f"what plugins/callback/phases.py wrote cannot be read: {problem}") from problem


def parts_of(output: str) -> list[tuple[str, float]]:
    """The parts that floor.sh told and their seconds. Raises BenchError unless all three are there."""
    found = re.findall(r"^(\w+) (\d+\.\d+) (\d+\.\d+)$", output, re.MULTILINE)
    if [name for name, *_ in found] != ["packages", "environment", "serve"]:
        raise BenchError(f"the bare commands told something else than their three parts: {output[-300:]}")
    return [(name, float(ended) - float(began)) for name, began, ended in found]


def _deploy(lab: Path, workspace: Workspace) -> Ended:
    with hosts(lab, 1) as fresh:
        workspace.hang_up()
        figures = workspace.folder / ".sightline/bench-phases.json"
        words = ("ansible-playbook", "site.yml", "-i", str(fresh.inventory), "--skip-tags", "prove")
        ended = workspace.run(*words, more={"SIGHTLINE_PHASES_FILE": str(figures)})
        workspace.hang_up()
    if ended.code != 0:
        raise BenchError("site.yml failed:\n" + "\n".join(ended.output.strip().splitlines()[-12:]))
    return ended


def _bare(lab: Path, workspace: Workspace) -> Ended:
    """One connection: the files are unpacked, then the commands are run."""
    with hosts(lab, 1) as fresh:
        remote = "mkdir /opt/floor && cd /opt/floor && tar -x && exec sh floor.sh"
        send = ["tar", "-c", "--owner=0", "--group=0", *SENT, "-C", str(FLOOR.parent), FLOOR.name]
        reach = ["ssh", "-F", str(lab / "ssh_config"), fresh.names[0], remote]
        ended = run(["sh", "-c", f"{shlex.join(send)} | {shlex.join(reach)}"], folder=workspace.folder)
    if ended.code != 0:
        raise BenchError("the bare commands failed:\n" + "\n".join(ended.output.strip().splitlines()[-12:]))
    return ended
