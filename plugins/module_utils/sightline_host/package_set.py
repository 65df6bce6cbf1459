"""Install a set of packages and files so that it can be removed again without a trace."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .apt import LOCK_SECONDS, Apt, AptProblem, Say
from .apt_folder import LISTED, LISTS, settings_for
from .apt_sources import Repository, fetch_key, further_components, uris
from .dependants import states
from .etc_changes import difference, look, together
from .host_sets import FOLDER, THERE, HostSet, read_ledger, write_ledger
from .reading import text_of

MARGIN_BYTES = 300 * 10**6
"""What must stay free beside an installation: package scripts and caches take some too."""


@dataclass(frozen=True)
class Wanted:
    """A set to install. Raises ValueError for files that could be taken for somebody else's.

    `folder` has packages and their list, and is asked in place of all sources of the host.
    `packages` are as apt-get takes them; `least` versions that must be reached; `files` paths below the root
    with their text, each with "sightline" in its name. What came with the set and has a name that begins as
    one of `hold` says is held and kept from unattended-upgrades; `leave_alone` only the latter, come or not.
    """

    name: str
    fingerprint: str
    source: str = ""
    packages: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    components: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    hold: tuple[str, ...] = ()
    leave_alone: tuple[str, ...] = ()
    least: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def __post_init__(self) -> None:
        for path in self.files:
            if "sightline" not in path.rpartition("/")[2] or path.startswith("/"):
                raise ValueError(f"{path}: a set's files have sightline in their names and no leading slash")


def wanted_set(options: Mapping[str, Any]) -> Wanted:
    """A set from a module's options; those that it does not know are let pass. Raises ValueError."""
    repositories = []
    for told in options.get("repositories") or ():
        known = {key: told[key] for key in ("name", "uri", "key", "fingerprint") if told.get(key)}
        if len(known) < 4:
            raise ValueError(f"a repository needs name, uri, key and fingerprint; there is {sorted(told)}")
        parts = tuple(told.get("components") or ())
        repositories.append(Repository(**known, suite=told.get("suite") or "/", components=parts))
    texts = {
        name: tuple(options.get(name) or ()) for name in ("packages", "components", "hold", "leave_alone")
    }
    return Wanted(
        name=options["name"],
        fingerprint=options.get("fingerprint") or "",
        source=options.get("source") or "",
        folder=options.get("folder") or "",
        repositories=tuple(repositories),
        files=dict(options.get("files") or {}),
        least={name: str(version) for name, version in (options.get("least") or {}).items() if version},
        **texts,
    )


class PackageSet:
    """One set being installed: `open`, then `add` and `drop`, then `close`. Each is written down first."""

    def __init__(
        self, wanted: Wanted, say: Say, root: Path = Path("/"), lock_seconds: float = LOCK_SECONDS
    ) -> None:
        self.wanted, self.say, self.root = wanted, say, root
        settings = settings_for(wanted.folder, root) if wanted.folder else {}
        self.apt = Apt(say, root, lock_seconds, settings)
        self.sets = read_ledger(root)
        self.entry = self.sets.setdefault(wanted.name, HostSet())
        self._before = root / FOLDER / f"{wanted.name}.etc.json"

    def open(self) -> None:
        """Begin: note the set, mend an interrupted one, write its files and sources. Raises AptProblem."""
        self.entry.complete = False
        self.entry.fingerprint, self.entry.source = self.wanted.fingerprint, self.wanted.source
        self._save()
        if not self._before.exists():
            put_file(self._before, json.dumps(look(self.root)).encode(), 0o600)
        self._mend()
        # Preferences among them have to be there before anything is installed.
        files = {path: text.encode() for path, text in self.wanted.files.items()}
        for repository in self.wanted.repositories:
            files |= repository.files(fetch_key(repository))
        if self.wanted.components:
            if not any("Origin" in target for target in self.apt.lists()):
                self.apt.update([])
            files |= further_components(self.apt, self.wanted.components, self.wanted.name)
        self._put(files)
        self.apt.update(uris(files))
        for package, least in self.wanted.least.items():
            self._check_version(package, least)

    def add(self, packages: Sequence[str]) -> None:
        """Install `packages` and what they need. Raises AptProblem; the disk's room is looked at before."""
        names = [package.partition("=")[0] for package in packages]
        self.entry.wanted = sorted({*self.entry.wanted, *names})
        there = self.states()
        if all(there.get(name, ("", ""))[1] in THERE for name in names):
            self._save()
            return
        changes = self.apt.would_install(packages)
        if changes.remove:
            raise AptProblem(
                f"installing {', '.join(names)} would remove {', '.join(changes.remove)}, and nothing is "
                "ever removed for it. Remove them yourself if they may go, or take another source"
            )
        self._check_room(packages)
        automatic = self.apt.marked("auto") & set(names)
        self.entry.note_packages(name for name in changes.install if name not in there)
        self.entry.upgraded |= changes.upgrade
        self.entry.manual = sorted({*self.entry.manual, *automatic.difference(self.entry.packages)})
        self._save()
        self.apt.install(packages, self.root / FOLDER / "archives")

    def note_folder(self, path: Path) -> None:
        """Write down a folder that comes with the set and goes with it. Raises ValueError."""
        if "sightline" not in path.name:
            raise ValueError(f"{path}: a set's folder has sightline in its name")
        self.entry.folders = sorted({*self.entry.folders, str(path).lstrip("/")})
        self._save()

    def note_file(self, path: Path) -> None:
        """Write down a file that a package's own script made; it goes with the set unless it was changed."""
        self.entry.files[str(path).lstrip("/")] = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
        self._save()

    def drop(self, packages: Iterable[str]) -> None:
        """Remove `packages` again, as far as they came with this set. Raises AptProblem."""
        names = set(packages)
        ours = sorted(names & set(self.entry.packages) & self.states().keys())
        if ours:
            purge(self.apt, ours, self.entry.packages)
        self.entry.wanted = [name for name in self.entry.wanted if name not in names]
        self.entry.packages = sorted(set(self.entry.packages) & self.states().keys())
        self._save()

    def close(self, notes: Sequence[str] = (), initramfs: bool = False) -> None:
        """End: holds, the loader's cache, and what /etc gained by the packages. Raises AptProblem."""
        self.entry.notes, self.entry.initramfs = list(notes), initramfs
        held = [name for name in self.entry.packages if name.startswith(self.wanted.hold or ("\0",))]
        if held or self.wanted.leave_alone:
            text = _left_alone([*(f"^{re.escape(name)}$" for name in held), *self.wanted.leave_alone])
            self._put({f"etc/apt/apt.conf.d/60sightline-{self.wanted.name}": text.encode()})
        self.entry.held = held
        self._save()
        self.apt.mark("hold", held)
        refresh(self.root, self.entry)
        came = difference(json.loads(self._before.read_text()), look(self.root), self.root)
        self.entry.etc = together(self.entry.etc, came)
        self.entry.complete = True
        self._save()
        self._before.unlink(missing_ok=True)
        for left in ("archives", LISTS.name):
            shutil.rmtree(self.root / FOLDER / left, ignore_errors=True)
        (self.root / LISTED).unlink(missing_ok=True)

    def states(self) -> dict[str, tuple[str, str]]:
        """What dpkg lists as there (see dependants.states)."""
        return states(text_of(self.root / "var/lib/dpkg/status"))

    def _mend(self) -> None:
        """Finish or take back what an interrupted run of this set left half-installed."""
        updates = self.root / "var/lib/dpkg/updates"
        if self.entry.packages and updates.is_dir() and any(updates.iterdir()):
            self.apt.configure()
        there = self.states()
        broken = [name for name in self.entry.packages if name in there and there[name][1] not in THERE]
        if broken:
            self.say(f"{len(broken)} packages are half-installed: they are removed and installed again")
            purge(self.apt, broken, self.entry.packages)

    def _put(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            self.entry.files[path] = hashlib.sha256(content).hexdigest()
            self._save()
            put_file(self.root / path, content)

    def _save(self) -> None:
        write_ledger(self.root, self.sets)

    def _check_version(self, package: str, least: str) -> None:
        found = self.apt.candidate(package)
        if found is None:
            raise AptProblem(f"no source of packages has {package}: take another source")
        if version_numbers(found) < version_numbers(least):
            raise AptProblem(
                f"{package} is {found} in this host's package sources, and {least} or newer is needed: "
                "take another source"
            )

    def _check_room(self, packages: Sequence[str]) -> None:
        """Raise AptProblem unless what is fetched and what it becomes fit on their disks."""
        fetch, grow = self.apt.sizes(packages)
        needs: dict[int, list[tuple[Path, int]]] = {}
        for folder, size in ((self.root / FOLDER, fetch), (self.root / "usr", grow)):
            needs.setdefault(os.stat(folder).st_dev, []).append((folder, size))
        for parts in needs.values():
            folder, needed = parts[0][0], sum(size for _, size in parts) + MARGIN_BYTES
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise AptProblem(
                    f"{free / 1e9:.1f} GB are free on the disk of {folder}, and {needed / 1e9:.1f} GB are "
                    f"needed to install {', '.join(packages[:3])}: free some, then run this again"
                )


def purge(apt: Apt, packages: Sequence[str], ours: Iterable[str]) -> None:
    """Purge `packages`, having looked that only `ours` go with them. Raises AptProblem."""
    others = sorted(set(apt.would_purge(packages).remove) - set(ours))
    if others:
        raise AptProblem(
            f"removing {', '.join(packages[:3])} would take {', '.join(others)} along, which Sightline did "
            "not install: remove these yourself if they may go, then run this again"
        )
    apt.purge(packages)


def refresh(root: Path, entry: HostSet) -> None:
    """Make anew what is made from the set's files: the loader's cache, the initramfs. Raises AptProblem."""
    commands = []
    told = [path for path in entry.files if path.startswith("etc/ld.so.conf.d/")]
    for path in told:
        for folder in text_of(root / path).split():
            if not (root / folder.lstrip("/")).is_dir():
                raise AptProblem(f"/{path} sends the loader to {folder}, which is not there")
    if told:
        commands.append(["ldconfig"])
    if entry.initramfs and shutil.which("update-initramfs"):
        commands.append(["update-initramfs", "-u"])
    for command in commands if root == Path("/") else ():
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip().splitlines()
            raise AptProblem(f"{' '.join(command)} failed: {' / '.join(said[-3:])}")


def put_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.sightline")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.chmod(mode)
    beside.replace(path)


def version_numbers(version: str) -> tuple[int, ...]:
    """The upstream part of a package's version as numbers: "1:550.163.01-2" -> (550, 163, 1)."""
    upstream = re.match(r"(?:\d+:)?([\d.]*)", version)
    return tuple(int(part) for part in (upstream[1] if upstream else "").split(".") if part)


def _left_alone(patterns: Sequence[str]) -> str:
    lines = "".join(f'  "{pattern}";\n' for pattern in patterns)
    return (
        "// Written by Sightline: these are upgraded by people only, together.\n"
        f"Unattended-Upgrade::Package-Blacklist {{\n{lines}}};\n"
    )
