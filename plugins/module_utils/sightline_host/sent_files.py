"""Files that a controller sends, singly or in tars, each held against its sha256 before it gets its name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

READ = 4 << 20

Wanted = Mapping[str, tuple[str, int]]
"""Path below the folder -> sha256 in hex and size in bytes."""


class SentProblem(Exception):
    """What was sent is not what it should be; the message says which file and what to do."""


def missing_files(folder: Path, wanted: Wanted, hashed: bool = True) -> list[str]:
    """The files that `folder` lacks; with `hashed` also those that are there with other bytes."""
    return [path for path, note in wanted.items() if not _is_right(folder / path, note, hashed)]


def put_file(folder: Path, wanted: Wanted, path: str, sent: Path, hashed: bool = True) -> None:
    """Give the file that arrived as `sent`, maybe on another disk, its name. Raises SentProblem, OSError."""
    if path not in wanted or ".." in PurePosixPath(path).parts:
        raise SentProblem(f"{path} was sent, which nobody asked for")
    if not _is_right(sent, wanted[path], hashed):
        sent.unlink(missing_ok=True)
        raise SentProblem(
            f"{path} arrived with other bytes than the bundle's list says: "
            "check the bundle (scripts/bundle --check)"
        )
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.sent")
    shutil.move(sent, beside)
    beside.chmod(0o644)
    os.replace(beside, place)


def unpack_files(folder: Path, wanted: Wanted, archive: Path) -> None:
    """Put every file of a tar in its place. Raises SentProblem, OSError."""
    beside = folder / ".sent"
    try:
        with tarfile.open(archive, "r:") as packed:
            for member in packed:
                content = packed.extractfile(member)
                if content is None:
                    raise SentProblem(f"{member.name} was sent, which is no file")
                with beside.open("wb") as file:
                    while data := content.read(READ):
                        file.write(data)
                put_file(folder, wanted, member.name, beside)
    except tarfile.TarError as problem:
        raise SentProblem(f"what was sent arrived broken ({problem}): run this again") from problem
    finally:
        beside.unlink(missing_ok=True)


def _is_right(file: Path, note: tuple[str, int], hashed: bool) -> bool:
    digest, size = note
    try:
        if file.stat().st_size != size:
            return False
        if not hashed:
            return True
        hasher = hashlib.sha256()
        with file.open("rb") as content:
            while data := content.read(READ):
                hasher.update(data)
    except OSError:
        return False
    return hasher.hexdigest() == digest
