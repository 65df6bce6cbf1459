"""Code that comes with a model: run only if it is, file for file, the code that the operator named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sightline_serve.errors import StartError


def fingerprint(folder: Path) -> str:
    """What `LC_ALL=C sha256sum *.py | sha256sum` prints there: of each file's name and content.

    Raises StartError for Python files in folders below, which that would not cover.
    """
    files = sorted(folder.rglob("*.py"))
    if deeper := [file for file in files if file.parent != folder]:
        raise StartError(
            f"{folder}: code in a folder below it is not trusted: {deeper[0].relative_to(folder)}"
        )
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(folder: Path, trusted: str | None) -> None:
    """Raises StartError unless the folder's code is the trusted one and names no code elsewhere."""
    found = fingerprint(folder)
    if trusted is None:
        raise StartError(
            f"{folder}: this model runs Python code of its own. Read it, and if you trust it, give "
            f"--trust-code {found} (LC_ALL=C sha256sum *.py | sha256sum)."
        )
    if trusted != found:
        raise StartError(
            f"{folder}: its code is not the code that --trust-code names: {found} instead of {trusted}. "
            "Nothing of it was run."
        )
    for name in ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json"):
        if elsewhere := _elsewhere(folder / name):
            raise StartError(f"{folder / name}: auto_map names code outside this folder: {elsewhere}")


def _elsewhere(file: Path) -> str | None:
    """The first class that a file's auto_map takes from another repository (REPOSITORY--MODULE.CLASS)."""
    try:
        content: Any = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StartError(f"{file} cannot be read: {error}") from None
    named = content.get("auto_map", {}) if isinstance(content, dict) else {}
    flat = [one for value in named.values() for one in (value if isinstance(value, list) else [value])]
    return next((str(one) for one in flat if one and "--" in str(one)), None)
