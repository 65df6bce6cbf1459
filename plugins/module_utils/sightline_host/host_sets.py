"""The sets of packages and files that Sightline brought to a host, as written down there.

A set is written down before anything of it is installed, so an interrupted installation is known too, and
an uninstallation removes exactly what came with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .dependants import states
from .reading import Facts, bytes_of, text_of

FOLDER = Path("var/lib/sightline")
LEDGER = FOLDER / "host.json"
WORK = Path("/run/sightline-host-sets")
"""What is locked while sets are changed (alone.py): a name in a folder that a restart empties."""

SCHEMA = 1
THERE = ("installed", "triggers-awaited", "triggers-pending")
"""States of dpkg's in which a package works."""


class SetsProblem(Exception):
    """What was written down about the sets cannot be used; the message says which file and what to do."""


@dataclass
class HostSet:
    """One set. `packages` came with it (others of `wanted` were there before); `manual` were marked so by it.

    `files` are paths below the root with the sha256 of their content, `folders` go as a whole; `etc` is what
    packages' scripts changed (see etc_changes); `initramfs` says that it has to be made anew afterwards.
    """

    fingerprint: str = ""
    source: str = ""
    complete: bool = False
    wanted: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    upgraded: dict[str, str] = field(default_factory=dict)
    manual: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    etc: dict[str, object] = field(default_factory=dict)
    initramfs: bool = False
    notes: list[str] = field(default_factory=list)

    def note_packages(self, names: Iterable[str]) -> None:
        """Write down packages that come with the set."""
        self.packages = sorted({*self.packages, *names})


def read_ledger(root: Path) -> dict[str, HostSet]:
    """The sets by name, in the order in which they came; {} where none was ever brought.

    Raises SetsProblem when there is a file but not one that this version can read.
    """
    file = root / LEDGER
    if not os.path.exists(file):
        return {}
    try:
        told = json.loads(file.read_text())
        if told["schema"] != SCHEMA:
            raise ValueError(f"schema {told['schema']}, this version reads {SCHEMA}")
        known = {item.name for item in fields(HostSet)}
        return {
            name: HostSet(**{key: value for key, value in entry.items() if key in known})
            for name, entry in told["sets"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SetsProblem(
            f"/{LEDGER}, in which Sightline wrote down what it installed, cannot be read ({problem}): "
            "put it back from a backup; without it nothing can be removed again by itself"
        ) from problem


def write_ledger(root: Path, sets: dict[str, HostSet]) -> None:
    """Write the sets down, or remove file and folder when there are none left."""
    file = root / LEDGER
    if not sets:
        file.unlink(missing_ok=True)
        if os.path.isdir(file.parent) and not any(file.parent.iterdir()):
            file.parent.rmdir()
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"schema": SCHEMA, "sets": {name: asdict(entry) for name, entry in sets.items()}}
    beside = file.with_name(file.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(json.dumps(told, indent=1) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)


def read_sets(root: Path = Path("/")) -> Facts:
    """For the probe: {name: {"fingerprint", "source", "whole", "wrong", "notes"}}.

    `whole` is False where an installation was interrupted or something of it is gone since, and `wrong` says
    what. A ledger that this user may not read gives {}.
    """
    if not os.access(root / LEDGER, os.R_OK):
        return {}
    try:
        sets = read_ledger(root)
    except SetsProblem as problem:
        return {
            "unreadable": {
                "fingerprint": "",
                "source": "",
                "whole": False,
                "wrong": str(problem),
                "notes": [],
            }
        }
    found = states(text_of(root / "var/lib/dpkg/status"))
    return {name: _told(entry, found, root) for name, entry in sets.items()}


def _told(entry: HostSet, found: dict[str, tuple[str, str]], root: Path) -> Facts:
    wrong = None
    if not entry.complete:
        wrong = "its installation was not finished"
    elif missing := [name for name in entry.wanted if found.get(name, ("", ""))[1] not in THERE]:
        wrong = f"{', '.join(missing)} is not installed any more"
    elif loose := [name for name in entry.held if found.get(name, ("", ""))[0] != "hold"]:
        wrong = f"{', '.join(loose)} is not held any more"
    elif gone := [path for path in entry.folders if not os.path.isdir(root / path)]:
        wrong = f"/{gone[0]} is gone"
    elif changed := [path for path, digest in entry.files.items() if digest_of(root / path) != digest]:
        wrong = f"/{changed[0]} was changed or is gone"
    return {
        "fingerprint": entry.fingerprint,
        "source": entry.source,
        "whole": wrong is None,
        "wrong": wrong,
        "notes": entry.notes,
    }


def digest_of(path: Path) -> str:
    """sha256 of the file's content; "" where there is none to read."""
    return hashlib.sha256(bytes_of(path)).hexdigest() if os.path.isfile(path) else ""
