"""Files that another model of this host has already: a second name for them instead of a second copy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from sightline_fetch.target import Target
from sightline_fetch.wanted import OWN_FOLDER, Wanted


def link_files(target: Target, wanted: Wanted, whole: set[str], models: Path) -> dict[str, Path]:
    """Link those of the wanted files that are not `whole` to the same ones below `models`.

    Same is what a stamp there calls by the same hash while size and time of change are as it noted them. A
    disk that makes no links is no error. Returns which files were linked, and to what.
    """
    there = _verified(models, target.folder)
    linked = {}
    for file in wanted.files:
        for other in there.get((file.algorithm, file.digest, file.size), ()):
            if file.path in whole or file.path in linked or target.is_there(file):
                break
            place = target.place(file)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(other, place)
            except OSError:
                continue
            linked[file.path] = other
    return linked


def _verified(models: Path, but: Path) -> dict[tuple[str, str, int], list[Path]]:
    """(algorithm, hash, size) -> files that a stamp below `models` vouches for, those of `but` left out."""
    found: dict[tuple[str, str, int], list[Path]] = {}
    for stamp in sorted(models.glob(f"*/{OWN_FOLDER}/verified.json")):
        folder = stamp.parent.parent
        if folder.resolve() == but.resolve():
            continue
        for path, (algorithm, digest, size, changed) in _noted(stamp).items():
            try:
                status = (folder / path).stat()
            except OSError:
                continue
            if size and (status.st_size, status.st_mtime_ns) == (size, changed):
                found.setdefault((algorithm, digest, size), []).append(folder / path)
    return found


def _noted(stamp: Path) -> dict[str, Any]:
    try:
        noted = json.loads(stamp.read_text())["files"]
        return {path: note for path, note in noted.items() if len(note) == 4}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
