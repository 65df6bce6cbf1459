"""Whether an environment holds exactly what its lock files say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

BOOTSTRAP: Final = frozenset({"pip", "setuptools", "wheel", "uv"})
"""Distributions that an environment may hold beyond its locks: what it was installed with."""


@dataclass(frozen=True)
class Drift:
    """What differs: pinned but absent, installed at another version ("name 1.0 instead of 2.0"), not
    pinned at all.
    """

    missing: tuple[str, ...]
    different: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.different or self.extra)

    def __str__(self) -> str:
        parts = [
            ("missing", self.missing),
            ("at another version", self.different),
            ("not in the lock", self.extra),
        ]
        return "; ".join(f"{what}: {', '.join(names[:8])}" for what, names in parts if names)


def pins(lock_files: list[Path], markers: dict[str, str]) -> dict[str, SpecifierSet]:
    """Pinned versions by canonical name, for an interpreter described by PEP 508 `markers`.

    Raises OSError for a file that can't be read and ValueError for a line that is no pin.
    """
    pinned: dict[str, SpecifierSet] = {}
    for path in lock_files:
        for line in _logical_lines(path.read_text(encoding="utf-8")):
            try:
                requirement = Requirement(line)
            except InvalidRequirement as problem:
                raise ValueError(f"{path}: {line!r} is no pinned requirement ({problem})") from None
            if _applies(requirement.marker, markers):
                pinned[canonicalize_name(requirement.name)] = requirement.specifier
    return pinned


def drift(
    pinned: dict[str, SpecifierSet], installed: dict[str, str], own: frozenset[str] = frozenset()
) -> Drift:
    """Compare pins with what is installed; `own` are names that may be there without a pin."""
    found = {canonicalize_name(name): version for name, version in installed.items()}
    allowed = BOOTSTRAP | own
    return Drift(
        missing=tuple(sorted(name for name in pinned if name not in found)),
        different=tuple(
            f"{name} {version} instead of {str(pinned[name]).removeprefix('==')}"
            for name, version in sorted(found.items())
            if name in pinned and not pinned[name].contains(version, prereleases=True)
        ),
        extra=tuple(
            sorted(f"{name} {found[name]}" for name in found if name not in pinned and name not in allowed)
        ),
    )


def _applies(marker: Marker | None, markers: dict[str, str]) -> bool:
    return marker is None or marker.evaluate({**markers, "extra": ""})


def _logical_lines(text: str) -> list[str]:
    """Requirement lines with continuations joined; hashes, options and comments left out."""
    joined = re.sub(r"\\\n", " ", text)
    lines = [re.sub(r"(^|\s)#.*$", "", line).split(" --")[0].strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("-")]
