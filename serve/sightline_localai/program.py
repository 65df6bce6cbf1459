"""LocalAI itself where the role `localai` put it: a binary or an image, with the backends beside it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sightline_start.errors import StartError

ENGINES = ("docker", "podman")


@dataclass(frozen=True)
class Program:
    """`image` is "" where the binary runs by itself; else `binary` is the container engine."""

    binary: Path
    backends: Path
    image: str


def find_program(folder: Path, backend: str) -> Program:
    """Raises StartError where LocalAI, the container engine or the backend is missing."""
    try:
        told = json.loads((folder / "program.json").read_text(encoding="utf-8"))
        image = str(told["image"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StartError(f"{folder} holds no LocalAI (program.json). Run scripts/up again.") from None
    if image:
        binary = next((found for found in map(shutil.which, ENGINES) if found), None)
        if binary is None:
            raise StartError(
                f"there is no {' or '.join(ENGINES)} to run {image}. Install one, or use the binary."
            )
    else:
        binary = str(folder / "bin/local-ai")
        if not os.access(binary, os.X_OK):
            raise StartError(f"{binary} is missing or may not be run. Run scripts/up again.")
    backends = folder / "backends"
    if backend not in _names(backends):
        raise StartError(
            f"backend {backend} is not installed in {backends}: LocalAI would start, say that it is "
            "ready, and answer nothing. Run scripts/up again."
        )
    return Program(Path(binary), backends, image)


def _names(backends: Path) -> set[str]:
    """Folders with a run.sh, under their own name and the alias in their metadata.json."""
    names = set()
    for run in backends.glob("*/run.sh"):
        names.add(run.parent.name)
        try:
            names.add(str(json.loads((run.parent / "metadata.json").read_text(encoding="utf-8"))["alias"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return names
