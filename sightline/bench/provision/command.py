"""The subcommand `provision`: its words, and its run from the first host to the last line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from sightline.bench import subcommand
from sightline.bench.provision import table
from sightline.bench.provision.hosts import hosts
from sightline.bench.provision.measure import Bench, Wish
from sightline.bench.provision.result import Result
from sightline.bench.provision.workspace import workspace
from sightline.bench.running import no_more_interruptions
from sightline.bench.subcommand import FOLDER, Measurement, alone, say

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

T = TypeVar("T")
MOST_HOSTS, MOST_LATENCY = 9, 2.0

_TEACH = """\
What it does: starts hosts of scripts/lab in a lab of its own (needs root, as scripts/lab does), deploys the
canary to them from a copy of this checkout, then runs `ansible -m ping`, site.yml less the proof, and
site.yml, in turn, in several rounds, at every latency and number of hosts. Nothing is left: hosts, copy and
connections go at the end, also after ctrl-C; what a crash left goes when it runs next.

How to read it: the ratios are the result, for both sides of each were measured within the same seconds;
seconds stand beside them. What reaches a host is counted by that host's sshd. Round trips are measured by
TCP handshakes. Budgets of a no-change run (of site.yml less the proof: how long a proof takes is up to the
model): at most 12 tasks reach a host, at most 5 times the wall time of ping.

examples:
  scripts/bench provision                          1 and 3 hosts, at 0 and 100 ms: about a quarter of an hour
  scripts/bench provision --hosts 1 --latency 0ms --rounds 3      a quick look
  scripts/bench provision --no-proof --check       exit code 1 when a budget is missed
  scripts/bench provision --json > provision.json  for programs; progress goes to standard error

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
3 not run: this machine cannot, 130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "what a no-change site.yml costs over ssh, against ansible -m ping"
    parser = subcommand.parser(commands, "provision", about, _TEACH, rounds=5)
    parser.add_argument(
        "--hosts",
        type=_list_of(_count),
        default=(1, 3),
        metavar="N,...",
        help="numbers of hosts (default: 1,3)",
    )
    parser.add_argument(
        "--latency", type=_list_of(_seconds), default=(0.0, 0.1), metavar="TIME,...",
        help="what is added to the round trip (default: 0ms,100ms)",
    )  # fmt: skip
    parser.add_argument("--no-proof", action="store_true", help="leave out the runs with the proof")
    parser.add_argument(
        "--kept",
        action="store_true",
        help="with a connection that is open already, as in the minute after another run",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("provision", given)
    wish = Wish(
        given.hosts,
        given.latency,
        given.rounds,
        ("ping", "deploy") if given.no_proof else ("ping", "deploy", "deploy_and_prove"),
        given.kept,
    )
    result = _measure(wish)
    facts = {"connections_kept": wish.kept, **result.to_dict()}
    told = table.lines(result, wish.rounds, wish.kept)
    return measurement.tell(facts, told, all(budget.kept for budget in result.budgets))


def _measure(wish: Wish) -> Result:
    with ExitStack() as made:
        made.enter_context(alone())
        say(f"starting {max(wish.hosts)} host(s)")
        running = made.enter_context(hosts(FOLDER / "lab", max(wish.hosts)))
        space = made.enter_context(workspace(FOLDER / "copy"))
        made.callback(say, "taking down what was made")
        made.callback(no_more_interruptions)
        return Bench(running, space, say).measure(wish)


def _list_of(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def words(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(read(word.strip()) for word in text.split(",")))

    return words


def _count(text: str) -> int:
    return subcommand.whole(text, MOST_HOSTS, "hosts")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    seconds = float(found[1]) * (1e-3 if found[2] == "ms" else 1) if found else -1.0
    if not 0 <= seconds <= MOST_LATENCY:
        raise argparse.ArgumentTypeError(f"'{text}' is no time from 0ms to {MOST_LATENCY:g}s, such as 100ms")
    return seconds
