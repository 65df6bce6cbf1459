"""The subcommand `fetch`: its words, and its run."""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING

from sightline.bench import subcommand
from sightline.bench.fetch.measure import LEAST_SHARE, OURS, ROUND_TRIPS, OnLink, measure
from sightline.bench.samples import spread
from sightline.bench.subcommand import FOLDER, Measurement, alone, say

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

_TEACH = """\
What it does: a stand-in hub of the tests serves one file of random bytes, and sightline-fetch, curl, aria2
(if it is installed) and `hf download` (if an environment of this checkout has it) bring it in turn.
sightline-fetch's time has its start, its sha256 and its syncs in it; curl and aria2 hash nothing and leave
the file in the page cache. So each of these stands there a second time, with `sha256sum` and `sync -d` after
it: the same promise. The link of 1 Gbit/s and 100 ms is a relay in user space, no netem: see
sightline/bench/fetch/relay.py.
Budget: at least 90% of what the better of curl and aria2 gets, without what they leave out.

examples:
  scripts/bench fetch                              both links, three rounds of 600 MB
  scripts/bench fetch --link loopback --rounds 1   a quick look
  scripts/bench fetch --link loopback --rounds 1 --size 5000     memory of a large file (10 GB of disk)
  scripts/bench fetch --json > fetch.json          for programs; progress goes to standard error

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "what sightline-fetch gets out of a link, against curl, aria2 and hf download"
    parser = subcommand.parser(commands, "fetch", about, _TEACH)
    parser.add_argument("--link", action="append", choices=list(ROUND_TRIPS), help="only this link")
    parser.add_argument("--size", type=_megabytes, default=600, metavar="MB", help="of the file (600)")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("fetch", given)
    folder = FOLDER / "fetch"
    with alone():
        try:
            found = [
                measure(folder, link, given.size * 1_000_000, given.rounds, say)
                for link in given.link or ROUND_TRIPS
            ]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    facts = {"links": [each.to_dict() for each in found]}
    told = [line for each in found for line in lines(each)]
    return measurement.tell(facts, told, all(each.kept for each in found))


def lines(result: OnLink) -> list[str]:
    """One link's result as people read it."""
    told = [f"{result.link}, {result.size / 1e6:,.0f} MB"]
    for name, times in result.times.items():
        rate = result.size / times.median / 1e6
        peak = f"; peak {result.peaks[name] / 1e6:,.0f} MB" if name in result.peaks else ""
        told.append(f"  {name:22}  {spread(times, '{:.2f}', ' s')}; {rate:,.0f} MB/s{peak}")
    budget = f"budget {'kept' if result.kept else 'MISSED'}"
    told.append(
        f"  {budget}: {OURS} gets {spread(result.shares, '{:.2f}')} of the best, at least {LEAST_SHARE:g}"
    )
    told.append(f"  {spread(result.same_work, '{:.2f}')} of the best that hashes and syncs too")
    return told


def _megabytes(text: str) -> int:
    return subcommand.whole(text, 10_000, "megabytes")
