"""Which packages others still need: those are not removed with the ones that they came with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Installed:
    """An installed package: names that it answers to, and its needs, each a list of alternatives."""

    name: str
    provides: frozenset[str]
    needs: tuple[tuple[str, ...], ...]


def states(status: str) -> dict[str, tuple[str, str]]:
    """Package -> what is wished (install, hold ...) and its state (installed, half-configured ...).

    Packages that are not there, or of which only settings are left, are left out.
    """
    found: dict[str, tuple[str, str]] = {}
    for entry in status.split("\n\n"):
        name = re.search(r"^Package: (\S+)", entry, re.MULTILINE)
        state = re.search(r"^Status: (\S+) \S+ (\S+)", entry, re.MULTILINE)
        if name and state and state[2] not in ("not-installed", "config-files"):
            found[name[1]] = (state[1], state[2])
    return found


def read_status(status: str) -> list[Installed]:
    """The packages that dpkg's status file lists as there, also half-installed ones."""
    found = []
    for entry in status.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): *(.*(?:\n[ \t].*)*)", entry, re.MULTILINE))
        state = fields.get("Status", "").rpartition(" ")[2]
        if "Package" not in fields or state in ("", "not-installed", "config-files"):
            continue
        provides = frozenset({fields["Package"], *_names(fields.get("Provides", ""))})
        needs = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
        clauses = tuple(tuple(_names(clause.replace("|", ","))) for clause in needs.split(",") if clause)
        found.append(Installed(fields["Package"], provides, clauses))
    return found


def still_needed(removable: Iterable[str], status: str, wanted: Iterable[str] = ()) -> set[str]:
    """Those of `removable` that other installed packages depend on, or that are `wanted`, or what these need.

    `status` is the text of dpkg's status file. Versions in dependencies are left aside.
    """
    going = set(removable)
    installed = read_status(status)
    providers: dict[str, set[str]] = {}
    for package in installed:
        for name in package.provides:
            providers.setdefault(name, set()).add(package.name)
    needs = {package.name: package.needs for package in installed}
    kept = {name for name in wanted if name in going and name in needs}
    waiting = [*(name for name in needs if name not in going), *kept]
    while waiting:
        for clause in needs[waiting.pop()]:
            serving = {provider for name in clause for provider in providers.get(name, ())}
            if not serving or serving - (going - kept):
                continue
            first = next(name for name in clause if providers.get(name))
            chosen = first if first in providers[first] else min(providers[first])
            kept.add(chosen)
            waiting.append(chosen)
    return kept


def _names(text: str) -> list[str]:
    """Package names of a dependency field, without versions and architectures."""
    return [
        found[0]
        for part in text.split(",")
        if (found := re.match(r"[A-Za-z0-9][A-Za-z0-9.+-]*", part.strip())) is not None
    ]
