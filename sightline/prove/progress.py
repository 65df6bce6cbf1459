"""Telling a person how far the check has come."""

from __future__ import annotations

import sys
from typing import TextIO

from .results import Shot
from .wording import KIND_TITLES, printable

EVERY = 10


class Progress:
    """One line that rewrites itself on a terminal; elsewhere a line every ten questions; nothing when
    quiet.
    """

    def __init__(self, total: int, quiet: bool, stream: TextIO | None = None) -> None:
        self._total = total
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._done = 0
        self._wrong = 0

    def tick(self, shot: Shot) -> None:
        """One more shot is done."""
        self._done += 1
        self._wrong += not shot.judgement.right and not shot.label
        if self._quiet:
            return
        total = max(self._total, self._done)
        if self._terminal:
            said = printable(shot.fault.text if shot.fault else shot.answer, 32)
            what = shot.label or KIND_TITLES[shot.case.kind].lower()
            self._stream.write(
                f"\r\033[K  asked {self._done} of {total}  {what}: {said}  {shot.seconds:.2f} s"
            )
        elif self._done % EVERY == 0:
            self._stream.write(f"asked {self._done} of {total}, {self._wrong} wrong\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self._quiet:
            self.clear()
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Take the rewritten line away."""
        if self._terminal and not self._quiet:
            self._stream.write("\r\033[K")
            self._stream.flush()
