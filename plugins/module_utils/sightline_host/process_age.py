"""Whether a process still runs by what its definition said before it was written anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .reading import text_of

CLOCKS_SECONDS = 2.0
"""How far a process's start may lie before its definition was written: the clocks count in whole seconds."""


def is_older(pid: str, definition: Path) -> bool:
    """Whether the process began before `definition` was written: a run was cut off between the two."""
    # Field 22 of proc(5)'s stat, counted behind the name in brackets: ticks since the machine's start.
    fields = text_of(Path("/proc") / pid / "stat").rpartition(")")[2].split()
    booted = re.search(r"^btime (\d+)$", text_of(Path("/proc/stat")), re.MULTILINE)
    if len(fields) < 20 or not booted:
        return False
    began = int(booted[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return definition.stat().st_mtime > began + CLOCKS_SECONDS
