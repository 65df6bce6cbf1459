"""The Pythons that uv can bring: which build of each minor version, and where its file lies.

uv itself holds the sha256 of every file, and its own version is locked (requirements/uv.lock.txt); so a
mirror may be anybody's. requirements/pythons.lock.json says which build the locked uv takes; a test compares
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).resolve().parent.parent / "requirements/pythons.lock.json"
SOURCES: Final = (
    "https://releases.astral.sh/github/python-build-standalone/releases/download",
    "https://github.com/astral-sh/python-build-standalone/releases/download",
)
"""Where uv looks without a mirror, in its order."""

Builds = Mapping[str, Mapping[str, str]]
"""Minor version ("3.12") -> {"version": "3.12.16", "build": "20261110"}."""


def locked_builds() -> Builds:
    """Return the builds that the locked uv brings. Raises OSError or ValueError for a broken file."""
    found: Builds = json.loads(LOCK.read_text(encoding="utf-8"))
    return found


def key(version: str, arch: str) -> str:
    """Return uv's name for a build, which is also its folder's: of a minor version the link to its newest."""
    return f"cpython-{version}-linux-{arch}-gnu"


def addresses(build: Mapping[str, str], arch: str, mirror: str) -> list[str]:
    """Return the places where the build's file may lie; any one that answers will do."""
    name = (
        f"{build['build']}/cpython-{build['version']}%2B{build['build']}-{arch}-unknown-linux-gnu"
        "-install_only_stripped.tar.gz"
    )
    return [f"{source.rstrip('/')}/{name}" for source in ((mirror,) if mirror else SOURCES)]
