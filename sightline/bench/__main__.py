"""The command line of scripts/bench.

A subcommand is a module with `add(commands)`, which adds its parser and sets `run`: a function from the
parsed words to an exit code. It is listed in `SUBCOMMANDS`, and nowhere else.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from sightline.bench import cold, fetch, gateway, gpu, provision, serve
from sightline.bench.errors import BenchError, NotHere
from sightline.bench.running import no_more_interruptions

SUBCOMMANDS = (provision, cold, serve, gpu, gateway, fetch)

_TEACH = """\
examples:
  scripts/bench provision           what a no-change site.yml costs over ssh, against `ansible -m ping`
  scripts/bench cold                what a first site.yml costs, against the bare commands
  scripts/bench serve               pictures answered a second, beside transformers serve, vLLM and llama.cpp
  scripts/bench gpu                 the engine on a GPU, against the GPU's limits and plain generate
  scripts/bench gateway             what the gateway adds to an answer of the server behind it
  scripts/bench fetch               what sightline-fetch gets out of a link, against curl and aria2
  scripts/bench provision --help    what exactly is measured, and what it makes on this machine

Seconds depend on the machine and on what else it does; the ratios of things measured side by side are the
result.

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
3 not run: this machine cannot, 130 stopped with ctrl-C
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure what has a budget, side by side with what it is held against.",
        epilog=_TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="WHAT", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.add(commands)
    given = parser.parse_args(words)
    try:
        code: int = given.run(given)
        return code
    except NotHere as reason:
        print(f"not run: {reason}")
        return 3
    except BenchError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130


def _stop(number: int, frame: FrameType | None) -> None:
    """A plain kill takes down what was made, as ctrl-C does; and that is not interrupted again."""
    no_more_interruptions()
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
