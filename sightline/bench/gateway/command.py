"""The subcommand `gateway`: its words, and its run from the environments to the table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sightline.bench import subcommand
from sightline.bench.gateway.measure import Added, Asked, added, measure
from sightline.bench.gateway.ways import GATEWAY, Weight, running
from sightline.bench.running import no_more_interruptions
from sightline.bench.samples import spread
from sightline.bench.subcommand import FOLDER, Measurement, alone, say
from sightline.plan.render import table

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

CROWDS = (1, 4)
"""Clients at once."""

MOST_ADDED = 0.050
MOST_START = 20.0
MOST_MEMORY = 420 * 10**6
"""The budgets: seconds that the gateway adds to one client's answer (the median), seconds from its start to
its first answer, bytes that it holds (Caddy not counted). As LiteLLM's proxy was measured
before it was chosen.
"""

_TEACH = """\
What it does: starts sightline-serve with the canary and a gateway before it on loopback (with Caddy, as a
deployment has it, if this machine has the program `caddy`), and asks in turn: the server itself, the
gateway, the gateway over TLS; first one client, then four at once, a new picture in every request,
streaming. The first round is not counted. The watch asks the server about two pictures every 5 s
meanwhile, as it always does. Both are ended, also after ctrl-C.

How to read it: what is added is the difference of two medians of the same round, then the median of the
rounds (lowest to highest). With one client it is what a request costs on its way; with four, on as many
cores as the table's last line says, gateway, server and the asking program share the processor, and the
ratio of requests a second is the figure to look at. Memory is resident.
Budgets: 50 ms more for one client, 20 s to the first answer, 420 MB.

examples:
  scripts/bench gateway                        about two minutes
  scripts/bench gateway --rounds 5 --json > gateway.json

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "what the gateway adds to an answer, and what it takes"
    parser = subcommand.parser(commands, "gateway", about, _TEACH)
    parser.add_argument("--requests", type=_many, default=32, help="of a round (default: 32)")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("gateway", given)
    with ExitStack() as made:
        made.enter_context(alone())
        made.callback(no_more_interruptions)
        scratch = FOLDER / "gateway"
        scratch.mkdir(parents=True, exist_ok=True)
        pair = made.enter_context(running(max(CROWDS), scratch, say))
        if len(pair.ways) == 2:
            say("there is no program `caddy` here: TLS is left out")
        found, weight = measure(pair, CROWDS, given.requests, given.rounds, say)
    costs = added(found)
    facts = {
        "asked": [asked.to_dict() for asked in found],
        "added": [cost.to_dict() for cost in costs],
        "start_seconds": round(pair.start_seconds, 2),
        "resident_bytes": vars(weight),
    }
    late = missed(costs, pair.start_seconds, weight)
    return measurement.tell(facts, lines(found, costs, pair.start_seconds, weight), not late)


def missed(costs: Sequence[Added], start_seconds: float, weight: Weight) -> list[str]:
    """The budgets that are missed, by what is counted."""
    (one,) = (cost for cost in costs if (cost.way, cost.clients) == (GATEWAY, 1))
    kept = {
        "added": one.answer.median <= MOST_ADDED,
        "start": start_seconds <= MOST_START,
        "memory": weight.gateway <= MOST_MEMORY,
    }
    return [name for name, holds in kept.items() if not holds]


def lines(found: Sequence[Asked], costs: Sequence[Added], start_seconds: float, weight: Weight) -> list[str]:
    """The result as people read it."""
    rows = [("way", "clients", "requests/s", "answer p50, p99", "first text p50, p99", "right")]
    for asked in sorted(found, key=lambda asked: asked.clients):
        answer, first = (
            ", ".join(f"{1000 * asked.seconds(what, percent):.0f} ms" for percent in (50, 99))
            for what in ("whole", "first")
        )
        rate, right = spread(asked.per_second, "{:.1f}"), f"{asked.right}/{len(asked.answers)}"
        rows.append((asked.way, str(asked.clients), rate, answer, first, right))
    told = table(rows)
    late = missed(costs, start_seconds, weight)
    for cost in costs:
        judged = _judged("added", late, f"{1000 * MOST_ADDED:g} ms")
        told.append(
            f"{cost.way}, {cost.clients} at once: an answer {_ms(cost.answer.median)} later "
            f"({_ms(cost.answer.low)} to {_ms(cost.answer.high)}), first text {_ms(cost.first.median)}, "
            f"p99 {_ms(cost.slowest)}; {spread(cost.rate, '{:.2f}')} of the requests/s"
            + (judged if (cost.way, cost.clients) == (GATEWAY, 1) else "")
        )
    start = _judged("start", late, f"{MOST_START:g} s")
    told.append(f"the gateway's first answer {start_seconds:.1f} s after its start{start}")
    caddy = f", Caddy {weight.caddy / 10**6:.0f} MB more" if weight.caddy else ""
    held = _judged("memory", late, f"{MOST_MEMORY / 10**6:.0f} MB")
    told.append(f"it holds {weight.gateway / 10**6:.0f} MB{caddy}{held}")
    return told


def _judged(name: str, late: Sequence[str], most: str) -> str:
    return f"; budget {'MISSED' if name in late else 'kept'}: at most {most}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:+.0f} ms"


def _many(text: str) -> int:
    return subcommand.whole(text, 9999, "them")
