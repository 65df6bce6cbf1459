"""The models under the root folder, by the stamps that sightline-fetch leaves in them; and their removal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .reading import text_of

OWN_FOLDER = ".sightline-fetch"
"""In a model's folder: what sightline-fetch keeps there (serve/sightline_fetch/wanted.py)."""

Facts = dict[str, object]


def model_folders(models: Path) -> list[Path]:
    """The folders below `models`, sorted; none where it cannot be read."""
    if not os.access(models, os.R_OK | os.X_OK) or not os.path.isdir(models):
        return []
    return sorted(path for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_models(models: Path) -> dict[str, Facts]:
    """What is known of each model's folder, by its path; only small files are read.

    `fingerprint`: of the files that were verified and are as they were then, None where one is not;
    `disk_bytes`: what the folder takes; `there_bytes`: of files in place and of pieces that came so far.
    """
    return {
        str(folder): {
            "fingerprint": stamped_fingerprint(folder),
            "disk_bytes": sum(blocks for blocks, _ in _inodes(folder).values()),
            "there_bytes": _there(folder),
        }
        for folder in model_folders(models)
    }


def stamped_fingerprint(folder: Path) -> str | None:
    """The stamp's fingerprint while size and time of change of each of its files are as noted; else None."""
    try:
        stamp = json.loads(text_of(folder / OWN_FOLDER / "verified.json"))
        for path, (_, _, size, changed) in stamp["files"].items():
            status = (folder / path).stat()
            if (status.st_size, status.st_mtime_ns) != (size, changed):
                return None
        return str(stamp["fingerprint"]) if stamp["files"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _files(folder: Path) -> list[Path]:
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names]


def _inodes(folder: Path) -> dict[tuple[int, int], tuple[int, bool]]:
    """Per file, however many names it has: its bytes on the disk, and whether all names lie in the folder."""
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    for file in _files(folder):
        try:
            status = file.lstat()
        except OSError:
            continue  # a fetch at work renames parts
        key = (status.st_dev, status.st_ino)
        names = found.get(key, (0, 0, 0))[2] + 1
        found[key] = (status.st_blocks * 512, status.st_nlink, names)
    return {key: (blocks, names >= links) for key, (blocks, links, names) in found.items()}


def _there(folder: Path) -> int:
    total = 0
    for file in _files(folder):
        below = file.relative_to(folder).parts
        try:
            if below[0] != OWN_FOLDER:
                total += file.stat().st_size
            elif below[1] == "parts" and file.name.endswith(".journal"):
                total += _journal_bytes(file)
        except OSError:
            continue
    return total


def _journal_bytes(journal: Path) -> int:
    """A journal's first line says how large a piece is; each further line names one that is there."""
    head, *lines = text_of(journal).split("\n")
    try:
        piece = int(json.loads(head)["piece"])
    except (ValueError, KeyError, TypeError):
        return 0
    return piece * len({line.partition(" ")[0] for line in lines if line})


class ModelProblem(Exception):
    """A model is not taken away; says which, why, and what to do."""


@dataclass(frozen=True)
class Removed:
    """One folder that went, or would go; `bytes`: what its disk got back, links of other models left out."""

    path: str
    bytes: int


def remove_models(root: Path, names: Sequence[str], kept: Sequence[str], dry: bool = False) -> list[Removed]:
    """Remove the folders of the models `names` under `root`, whole or not.

    `kept`: folders that this deployment wants. Raises ModelProblem before anything is removed: one of them is
    kept, or served by the release in use, or a name is none. Raises OSError: one cannot be removed.
    """
    used = {os.path.realpath(path) for path in (*kept, served_model(root)) if path}
    going = [folder for name in names for folder in folders_of(root, name)]
    for folder in going:
        if os.path.realpath(folder) in used:
            raise ModelProblem(f"{folder} is in use: deploy another model first, and take this one away then")
    removed = []
    for folder in going:
        freed = sum(blocks for blocks, alone in _inodes(folder).values() if alone)
        if not dry:
            shutil.rmtree(folder)
        removed.append(Removed(str(folder), freed))
    return removed


def folders_of(root: Path, name: str) -> list[Path]:
    """The folders of one model, of whatever files. Raises ModelProblem: `name` is no model's name."""
    if not name or "/" in name or name.startswith("."):
        raise ModelProblem(f"{name!r} is no name of a model (scripts/catalogue show lists them)")
    found = []
    for folder in model_folders(root / "models"):
        # NAME-FINGERPRINT: another model's name may begin with this one's.
        stem, _, digits = folder.name.rpartition("-")
        if stem == name and len(digits) == 12 and set(digits) <= set("0123456789abcdef"):
            found.append(folder)
    return found


def served_model(root: Path) -> str:
    """The folder of the model that the release in use serves; "" where there is none."""
    try:
        return str(json.loads(text_of(root / "current" / "release.json"))["model"])
    except (ValueError, KeyError, TypeError):
        return ""
