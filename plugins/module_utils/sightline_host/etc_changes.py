"""What an installation changes in /etc beside the packages' own files, and how to take it back.

Packages' scripts make users, links and settings that purging the package does not always remove. A look at
/etc before and one after tell what came. No content is kept but lines that were added: what was there may
be secret. Sightline's own files have its name in theirs and are left aside.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .reading import bytes_of

Look = dict[str, object]
"""Path below the root -> what it is: text, or for a file of lines {"is": text, "lines": [digest of each]}."""

IGNORED = frozenset(
    {
        # Copies that programs keep of the files beside them, caches, and locks.
        "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
        "etc/.pwd.lock", "etc/ld.so.cache", "etc/mtab", "etc/.updated",
    }
)  # fmt: skip
_OURS = "sightline"
_FIRST_PERSON = 1000
_MOST_LINES_BYTES = 1 << 18


def look(root: Path) -> Look:
    """What /etc holds now. Files directly in it are looked at line by line (passwd, group, environment)."""
    seen: Look = {}
    top = root / "etc"
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = Path(folder) / name
            key = path.relative_to(root).as_posix()
            if key in IGNORED or _OURS in name:
                continue
            try:
                status = path.lstat()
            except OSError:
                continue
            what = _what(path, status)
            if path.parent == top and stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_LINES_BYTES:
                seen[key] = {"is": what, "lines": [_digest(line) for line in bytes_of(path).splitlines()]}
            else:
                seen[key] = what
    return seen


def difference(before: Mapping[str, object], after: Mapping[str, object], root: Path) -> dict[str, object]:
    """What came between two looks: {"new": {path: what}, "added": {path: [lines]}, "other": [paths]}.

    `added` are files that only gained lines; `other` were changed otherwise or are gone.
    """
    new: dict[str, object] = {}
    added: dict[str, list[str]] = {}
    other: list[str] = []
    for path, now in after.items():
        if path not in before:
            new[path] = now["is"] if isinstance(now, dict) else now
        elif now != before[path]:
            lines = _added_lines(before[path], root / path)
            if lines is None:
                other.append(path)
            else:
                added[path] = lines
    other += [path for path in before if path not in after]
    return {"new": new, "added": added, "other": sorted(other)}


def together(first: Mapping[str, object], then: Mapping[str, object]) -> dict[str, object]:
    """Two differences, one after the other, as one; {} is none."""
    old = {"new": {}, "added": {}, "other": [], **first}
    new: dict[str, object] = {**_mapping(old["new"]), **_mapping(then["new"])}
    added: dict[str, list[str]] = {path: list(lines) for path, lines in _mapping(old["added"]).items()}
    for path, lines in _mapping(then["added"]).items():
        added[path] = [*added.get(path, []), *lines]
    other = {*_sequence(old["other"]), *_sequence(then["other"])} - new.keys()
    return {"new": new, "added": added, "other": sorted(other)}


def undo(changes: Mapping[str, object], root: Path) -> list[str]:
    """Take back what `difference` told of, as far as nobody has changed it since; returns what stays.

    To be called when the packages are gone, since most of it goes with them.
    """
    left: list[str] = []
    added = {path: list(lines) for path, lines in _mapping(changes.get("added")).items()}
    for path, lines in _without_people(added).items():
        if not _remove_lines(root / path, lines):
            left.append(path)
    paths = _mapping(changes.get("new"))
    for path in sorted(paths, key=lambda path: path.count("/"), reverse=True):
        place = root / path
        try:
            status = place.lstat()
            if stat.S_ISDIR(status.st_mode):
                place.rmdir()
            elif _what(place, status) == paths[path]:
                place.unlink()
            else:
                left.append(path)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(path)
    return sorted(left)


def _without_people(added: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The lines without accounts of people (ids from 1000 on), whoever made them meanwhile."""
    system: dict[str, set[str]] = {"etc/shadow": set(), "etc/gshadow": set()}
    for file, shadow in (("etc/passwd", "etc/shadow"), ("etc/group", "etc/gshadow")):
        for line in added.get(file, ()):
            name, _, number, *_ = [*line.split(":"), "", "", ""]
            if number.isdigit() and int(number) < _FIRST_PERSON:
                system[shadow].add(name)
    kept = {}
    for path, lines in added.items():
        names = system.get({"etc/passwd": "etc/shadow", "etc/group": "etc/gshadow"}.get(path, path))
        kept[path] = lines if names is None else [line for line in lines if line.partition(":")[0] in names]
    return kept


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _added_lines(before: object, path: Path) -> list[str] | None:
    """The lines that `path` has now and had not before; None unless it only gained lines."""
    if not isinstance(before, dict):
        return None
    waiting = list(before["lines"])
    lines = []
    for line in bytes_of(path).splitlines():
        if waiting and _digest(line) == waiting[0]:
            waiting.pop(0)
        else:
            lines.append(line.decode(errors="surrogateescape"))
    return None if waiting or not lines else lines


def _remove_lines(path: Path, lines: list[str]) -> bool:
    """Take `lines` out of the file, each once from its end; False where one has been changed since."""
    try:
        status = path.stat()
        there = path.read_bytes().decode(errors="surrogateescape").splitlines(keepends=True)
    except OSError:
        return True
    whole = True
    for line in reversed(lines):
        place = next((at for at in range(len(there) - 1, -1, -1) if there[at].rstrip("\n") == line), None)
        if place is None:
            whole = False
        else:
            del there[place]
    beside = path.with_name(f".{path.name}.sightline")
    beside.write_bytes("".join(there).encode(errors="surrogateescape"))
    os.chown(beside, status.st_uid, status.st_gid)
    beside.chmod(stat.S_IMODE(status.st_mode))
    beside.replace(path)
    return whole


def _what(path: Path, status: os.stat_result) -> str:
    """Kind, rights, owner and content, as text to compare."""
    kind = stat.filemode(status.st_mode)
    owner = f"{kind} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{owner} -> {os.readlink(path)}"
    return f"{owner} {_digest(bytes_of(path))}" if stat.S_ISREG(status.st_mode) else owner


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
