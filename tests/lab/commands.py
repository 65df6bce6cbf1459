"""Runs a program and says clearly what failed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.lab.problems import LabError


def run(*command: str, feed: str | None = None, timeout: float | None = 60) -> str:
    """The program's standard output. Raises LabError with its last words when it fails."""
    try:
        ended = subprocess.run(command, input=feed, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{shorten(command)}` did not end within {timeout:.0f} s") from None
    if ended.returncode != 0:
        raise LabError(
            f"`{shorten(command)}` failed ({ended.returncode}): {last_words(ended.stderr or ended.stdout)}"
        )
    return ended.stdout


def succeeds(*command: str, timeout: float = 60) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def shorten(command: Sequence[str]) -> str:
    line = " ".join(command)
    return line if len(line) <= 100 else f"{line[:97]}..."


def last_words(text: str, lines: int = 2) -> str:
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "it said nothing"
