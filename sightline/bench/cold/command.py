"""The subcommand `cold`: its words, and its run from the first host to the last line."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sightline.bench import subcommand
from sightline.bench.cold.measure import MOST_FLOORS, Cold, measure
from sightline.bench.provision.workspace import workspace
from sightline.bench.running import no_more_interruptions
from sightline.bench.samples import spread
from sightline.bench.subcommand import FOLDER, Measurement, alone, say

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

_TEACH = """\
What it does: on fresh Debian 12 hosts of scripts/lab (needs root) it deploys the canary by site.yml less the
proof, and by the bare commands (sightline/bench/cold/floor.sh: apt-get, venv, pip, start the server, wait
until its model answers), in turn, a new host each time. Everything is taken down, also after ctrl-C. Both
fetch the same packages from wherever the lab's hosts find them. Budget: at most 1.15 times the bare commands.

examples:
  scripts/bench cold --rounds 1          two deployments, about four minutes on two cores
  scripts/bench cold --json > cold.json  for programs; progress goes to standard error

exit codes: 0 measured, 1 the budget was missed (only with --check), 2 not measured (the reason is printed),
3 not run: this machine cannot, 130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "what a first site.yml costs, against the bare commands"
    parser = subcommand.parser(commands, "cold", about, _TEACH)
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("cold", given)
    result = _measure(given.rounds)
    return measurement.tell(result.to_dict(), lines(result), result.kept)


def lines(result: Cold) -> list[str]:
    """The result as people read it."""
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.phases)
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.parts)
    budget = f"budget {'kept' if result.kept else 'MISSED'}"
    return [
        f"site.yml less the proof  {spread(result.deploy, '{:.1f}', ' s')}; the last: {phases}",
        f"the bare commands        {spread(result.floor, '{:.1f}', ' s')}; the last: {parts}",
        f"ratio                    {spread(result.floors, '{:.2f}')}",
        f"{budget}: {result.floors.median:.2f} times, at most {MOST_FLOORS:g}",
    ]


def _measure(times: int) -> Cold:
    with ExitStack() as made:
        made.enter_context(alone())
        space = made.enter_context(workspace(FOLDER / "copy"))
        made.callback(no_more_interruptions)
        return measure(FOLDER / "lab", space, times, say)
