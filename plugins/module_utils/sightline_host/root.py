"""The root folder that holds everything Sightline puts on a host, and its removal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .fetch_job import JobProblem, stop_all
from .secret import find_user
from .state import MARKER, holds_nothing

SUBFOLDERS = {
    "cache": 0o700,
    "env": 0o755,
    "log": 0o755,
    "models": 0o755,
    "releases": 0o755,
    "secrets": 0o700,
    "tmp": 0o700,
}


class RootProblem(Exception):
    """The root folder is not one that Sightline may use or remove."""


def make_root(root: Path, owner: str | None, dry: bool = False) -> list[str]:
    """Make `root` with its marker and folders; `owner` gets the folders that the service writes to.

    Raises RootProblem when `root` holds somebody else's files, OSError when it can't be made.
    """
    marker = root / MARKER
    if root.is_dir() and not marker.exists() and not holds_nothing(root):
        raise RootProblem(
            f"{root} is not empty and was not made by Sightline: name another folder as sightline_root"
        )
    try:
        wanted = find_user(owner) if owner is not None else None
    except OSError as problem:
        raise RootProblem(f"{root} cannot be given to its owner: {problem}") from problem
    changes = []
    if root.is_dir() and any(root.iterdir()) and not marker.exists() and not dry:
        # Ansible made it for itself, so that nobody else can enter; the service must.
        root.chmod(0o755)
    for folder, mode in [(root, 0o755), *((root / name, mode) for name, mode in SUBFOLDERS.items())]:
        if not folder.is_dir():
            changes.append(str(folder))
            if not dry:
                folder.mkdir(parents=True)
                folder.chmod(mode)
    if not marker.exists():
        changes.append(str(marker))
        if not dry:
            marker.write_text("Made by Sightline; scripts/down removes this folder and everything in it.\n")
    if wanted is not None:
        for name in ("cache", "log", "secrets"):
            folder = root / name
            if folder.is_dir() and folder.stat().st_uid != wanted.pw_uid:
                changes.append(f"owner of {folder} -> {wanted.pw_name}")
                if not dry:
                    os.chown(folder, wanted.pw_uid, wanted.pw_gid)
    return changes


def remove_root(root: Path, dry: bool = False) -> list[str]:
    """Remove `root` with everything in it. Raises RootProblem when it carries no marker of Sightline's."""
    if not root.exists():
        return []
    if not (root / MARKER).is_file():
        raise RootProblem(f"{root} carries no {MARKER}, so Sightline did not make it: it is left alone")
    if not dry:
        try:
            stop_all(root / "fetch")
        except JobProblem as problem:
            raise RootProblem(str(problem)) from problem
        # The marker goes last: an interrupted removal can be run again.
        for entry in root.iterdir():
            if entry.name != MARKER:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (root / MARKER).unlink()
        # A link or a mounted disk belongs to the machine's owner: it stays, empty.
        if not root.is_symlink() and not os.path.ismount(root):
            root.rmdir()
    return [str(root)]
