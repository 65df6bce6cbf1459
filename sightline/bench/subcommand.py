"""What the subcommands of scripts/bench share: common words, one at a time, how a result is told."""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.bench.errors import BenchError
from sightline.bench.machine import load, this_machine
from sightline.layout import CHECKOUT

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FOLDER = CHECKOUT / ".sightline/bench"
MOST_ROUNDS = 100


def parser(commands: Commands, name: str, about: str, teach: str, rounds: int = 3) -> argparse.ArgumentParser:
    """Add the subcommand `name` with the words that all have: --rounds, --json and --check."""
    made = commands.add_parser(
        name,
        help=about,
        description=f"Measure {about}.",
        epilog=teach,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--rounds", type=_rounds, default=rounds, help=f"how often each is measured (default: {rounds})"
    )
    made.add_argument("--json", action="store_true", help="print one JSON object")
    made.add_argument("--check", action="store_true", help="exit code 1 when a budget is missed")
    return made


class Measurement:
    """One measurement from its begin, when the object is made, to `tell`."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.name, self.given = name, given
        self.machine, self.started, self.before = this_machine(), datetime.now(UTC), load()

    def tell(self, facts: Mapping[str, Any], lines: Sequence[str], kept: bool) -> int:
        """Print the result as the words ask for, `facts` or `lines`; returns the exit code.

        `kept`: whether every budget was kept.
        """
        after = load()
        if self.given.json:
            told = {"schema": 1, "bench": self.name, "at": self.started.isoformat(timespec="seconds")}
            told |= {"machine": self.machine.to_dict(), "load": (self.before, after)}
            print(json.dumps({**told, "rounds": self.given.rounds, **facts}, indent=1))
        else:
            at = f"{self.started:%Y-%m-%d %H:%M} UTC"
            print("\n".join(lines))
            print(f"on {self.machine.words}; load {self.before} before, {after} after; {at}")
        return 1 if self.given.check and not kept else 0


@contextmanager
def alone(folder: Path = FOLDER) -> Iterator[None]:
    """One measurement of a checkout at a time. Raises BenchError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BenchError("another scripts/bench runs from this checkout; wait for it") from None
        yield


def say(line: str) -> None:
    """Progress, for people: on standard error."""
    print(f"  {line}", file=sys.stderr, flush=True)


def whole(text: str, most: int, of: str) -> int:
    """Read a number from 1 to `most`. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of {of} from 1 to {most}")
    return int(text)


def _rounds(text: str) -> int:
    return whole(text, MOST_ROUNDS, "rounds")
