"""Reads below a root folder ("/" but in tests) that don't mind a file that is missing or may not be read.

Beside them use os.path's exists, isfile and isdir: those of Path raise where a folder may not be entered.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

Facts = dict[str, object]
_MOST_LINKS = 40


def text_of(path: Path) -> str:
    """The file's text; "" where there is none to read."""
    try:
        return path.read_text(errors="replace")
    except (OSError, ValueError):
        return ""


def bytes_of(path: Path) -> bytes:
    """The file's bytes; b"" where there are none to read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def matching(root: Path, pattern: str) -> list[Path]:
    """Paths below `root` that fit the shell pattern, sorted."""
    return sorted(Path(found) for found in glob.glob(str(Path(glob.escape(str(root))) / pattern)))


def inside(root: Path, path: Path) -> str:
    """The path as the host itself names it: without the root folder that a test put before it."""
    return "/" + str(path.relative_to(root))


def link_target(root: Path, path: Path) -> Path:
    """Where `path` ends when its links are followed, an absolute link starting from `root`.

    `os.path.realpath` would leave a root that is not "/".
    """
    for _ in range(_MOST_LINKS):
        try:
            target = os.readlink(path)
        except OSError:
            return path
        start = root if os.path.isabs(target) else path.parent
        path = Path(os.path.normpath(start / target.lstrip("/")))
    return path


def first_version(text: str) -> str | None:
    """The first number with at least one dot in it: "Module  550.54.14  Thu Feb" -> "550.54.14"."""
    found = re.search(r"(?<![\w.])\d+(?:\.\d+)+(?![\w.])", text)
    return found[0] if found else None
