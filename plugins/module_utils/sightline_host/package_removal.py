"""Remove sets of packages and files that Sightline brought, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .apt import LOCK_SECONDS, Apt, Say
from .apt_folder import LISTED, LISTS
from .dependants import states, still_needed
from .etc_changes import undo
from .host_sets import FOLDER, HostSet, digest_of, read_ledger, write_ledger
from .package_set import purge, refresh
from .reading import text_of


def remove_sets(
    names: Sequence[str] | None,
    say: Say,
    root: Path = Path("/"),
    lock_seconds: float = LOCK_SECONDS,
    dry: bool = False,
) -> tuple[list[str], list[str]]:
    """Remove the sets `names`, or all of them, those that came last first.

    Returns what was removed, and what stays with the reason. Raises AptProblem, SetsProblem; what was not
    removed then is still written down, so that it can be run again.
    """
    apt = Apt(say, root, lock_seconds)
    sets = read_ledger(root)
    removed: list[str] = []
    left: list[str] = []
    for name in reversed(list(sets)):
        if names is not None and name not in names:
            continue
        entry = sets[name]
        others = {other: sets[other] for other in sets if other != name}
        going, kept = split(entry, others, text_of(root / "var/lib/dpkg/status"), os.uname().release)
        removed.append(f"{name}: {len(going)} packages, {len(entry.files)} files")
        if dry:
            continue
        say(f"removing {name}: {len(going)} packages")
        if going:
            purge(apt, going, entry.packages)
        left += _tidy(name, entry, kept, others, apt, root)
        del sets[name]
        write_ledger(root, sets)
    return removed, left


def split(
    entry: HostSet, others: dict[str, HostSet], status: str, kernel: str
) -> tuple[list[str], dict[str, str]]:
    """Which of the set's packages go, and which are kept, with the reason.

    Kept are those that another set wants or a package of somebody else's needs, and the running kernel.
    """
    there = [name for name in entry.packages if name in states(status)]
    running = [name for name in there if name in (f"linux-image-{kernel}", f"linux-modules-{kernel}")]
    elsewhere = {name for other in others.values() for name in (*other.wanted, *other.packages)}
    shared = [name for name in there if name in elsewhere]
    kept = still_needed(there, status, [*running, *shared])
    reasons = {
        name: "another set needs it" if name in shared else "the kernel that runs" if name in running
        else "other packages need it now"
        for name in kept
    }  # fmt: skip
    return [name for name in there if name not in kept], reasons


def _tidy(
    name: str, entry: HostSet, kept: dict[str, str], others: dict[str, HostSet], apt: Apt, root: Path
) -> list[str]:
    """Remove what is no package; returns what stays, with the reason."""
    still_held = {package for other in others.values() for package in other.held}
    apt.mark("unhold", [package for package in entry.held if package in kept and package not in still_held])
    apt.mark("auto", [package for package in (*entry.manual, *kept) if _there(package, root)])
    for other in others.values():
        other.note_packages(package for package in kept if package in other.wanted)
    left = [f"package {package} ({why})" for package, why in sorted(kept.items())]
    left += [f"package {package} was upgraded to {version}" for package, version in entry.upgraded.items()]
    shared = {path for other in others.values() for path in other.files}
    for path, digest in entry.files.items():
        if path in shared:
            continue
        if digest_of(root / path) not in (digest, ""):
            left.append(f"/{path} (changed since)")
        else:
            (root / path).unlink(missing_ok=True)
            if path.startswith("var/lib/"):
                # A package's own folder, which that left because the file was in it.
                with suppress(OSError):
                    (root / path).parent.rmdir()
    for folder in entry.folders:
        shutil.rmtree(root / folder, ignore_errors=True)
    refresh(root, entry)
    left += [f"/{path} (changed since)" for path in undo(entry.etc, root)]
    (root / FOLDER / f"{name}.etc.json").unlink(missing_ok=True)
    for folder in ("archives", LISTS.name):
        shutil.rmtree(root / FOLDER / folder, ignore_errors=True)
    (root / LISTED).unlink(missing_ok=True)
    return left


def _there(package: str, root: Path) -> bool:
    return package in states(text_of(root / "var/lib/dpkg/status"))
