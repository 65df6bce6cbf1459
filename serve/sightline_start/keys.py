"""The API keys, in the form of sightline-serve's key file."""

from __future__ import annotations

from pathlib import Path

from sightline_start.errors import StartError


def read_keys(file: Path) -> list[str]:
    """One key a line, `KEY` or `NAME KEY`; blank lines and lines with # are left out. Raises StartError."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise StartError(f"--api-key-file {file} holds characters beyond ASCII.") from None
    except OSError as problem:
        raise StartError(f"--api-key-file {file}: {problem.strerror}.") from None
    keys = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2:
            raise StartError(f"--api-key-file {file}, line {number}: a line is a key, or a name and a key.")
        keys.append(words[-1])
    if not keys:
        raise StartError(f"--api-key-file {file} holds no key. Write one into it: openssl rand -hex 32")
    return keys
