"""The two files of a vision model in GGUF: the language model, and its tower with projector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline_start.errors import StartError

MAGIC = b"GGUF"
PROJECTOR = "mmproj"


@dataclass(frozen=True)
class Pair:
    model: Path
    projector: Path


def find_pair(folder: Path) -> Pair:
    """The pair in `folder` or in `folder/gguf`; of a split model the first part, which names the others.

    Raises StartError where there is none, or more than one to choose from.
    """
    if not folder.is_dir():
        raise StartError(f"--model {folder}: there is no such folder.")
    nested = folder / "gguf"
    files = sorted(folder.glob("*.gguf")) or sorted(nested.glob("*.gguf"))
    projectors = [file for file in files if PROJECTOR in file.name.lower()]
    models = [file for file in files if file not in projectors and not _later_part(file)]
    for found, what in ((models, "language model"), (projectors, f"projector ({PROJECTOR}-*.gguf)")):
        if not found:
            raise StartError(
                f"--model {folder}: there is no {what} in GGUF. Both files of the pair belong here."
            )
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise StartError(f"--model {folder}: there is more than one {what}: {names}. Leave one there.")
        _check(found[0])
    return Pair(models[0], projectors[0])


def _later_part(file: Path) -> bool:
    """Whether it is a part of a split file, NAME-00002-of-00005.gguf, but not the first."""
    words = file.stem.rsplit("-", 3)
    return len(words) == 4 and words[2] == "of" and words[1].isdigit() and int(words[1]) > 1


def _check(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(MAGIC))
    except OSError as problem:
        raise StartError(f"{file} cannot be read: {problem.strerror}.") from None
    if magic != MAGIC:
        raise StartError(f"{file} is no GGUF file (it begins with {magic!r}). Fetch it again.")
