"""How a module that runs for minutes tells what it is doing: lines in a file that the controller reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

DONE = "::done"
"""The last line of a progress file: the module's result follows at once."""


@contextmanager
def teller(path: str | None) -> Iterator[Callable[[str], None]]:
    """A function that appends one line to `path`; a silent one when `path` is None."""
    if path is None:
        yield lambda line: None
        return
    with open(path, "a", buffering=1, encoding="utf-8") as file:

        def say(line: str) -> None:
            file.write(line.replace("\n", " ") + "\n")

        try:
            yield say
        finally:
            say(DONE)
