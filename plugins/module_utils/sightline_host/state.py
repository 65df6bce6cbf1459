"""What is already on the host: Python interpreters, the root folder, and what was installed there before."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .environment import read_stamp
from .folder import is_whole, read_manifest
from .localai import installed
from .models import read_models

Facts = dict[str, object]
MARKER = ".sightline-root"
"""The file that marks a root folder as made by Sightline: only such a folder is ever removed."""


def read_user() -> Facts:
    user = pwd.getpwuid(os.geteuid())
    return {"user": user.pw_name, "uid": user.pw_uid, "home": user.pw_dir}


def read_pythons(candidates: Sequence[str]) -> list[Facts]:
    """Those of `candidates` (names or paths) that exist, each once: path, version, whether it makes venvs."""
    ask = (
        "import platform, sys\n"
        "print(platform.python_version(), getattr(sys, '_base_executable', sys.executable))\n"
        "import ensurepip, venv"
    )
    found: list[Facts] = []
    for candidate in candidates:
        path = shutil.which(candidate)
        if not path:
            continue
        try:
            asked = subprocess.run([path, "-c", ask], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            continue
        version, _, real = asked.stdout.strip().partition(" ")
        same = os.path.realpath(real or path)
        if version and not any(os.path.realpath(str(python["path"])) == same for python in found):
            found.append({"path": real or path, "version": version, "venv": asked.returncode == 0})
    return found


def prefixes_of(candidates: Sequence[str], found: Sequence[Facts]) -> list[str]:
    """Folders that hold a Python: those of `candidates` as they are called, and of the interpreters `found`.

    Called by its link in an environment a Python sees other packages than where the link leads.
    """
    called = [path for path in map(shutil.which, candidates) if path]
    paths = [*called, *(str(python["path"]) for python in found)]
    return list(dict.fromkeys(os.path.dirname(os.path.dirname(path)) for path in paths))


def makes_environments(python: str) -> bool:
    """Whether this interpreter can make environments on itself: by its own pip, or one that venv brings."""
    needs = "import venv\ntry: import pip\nexcept ImportError: import ensurepip"
    try:
        asked = subprocess.run([python, "-c", needs], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def read_root(path: str) -> Facts:
    """The root folder and the room on its file system, seen from the nearest folder above that exists.

    A folder that this user may not look into counts as one that does not exist.
    """
    root = Path(path)
    nearest = root
    # os.path, because Path.exists raises PermissionError.
    while not os.path.exists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    usage = shutil.disk_usage(nearest)
    exists = os.path.isdir(root)
    readable = exists and os.access(root, os.R_OK | os.X_OK)
    return {
        "path": path,
        "exists": exists,
        "ours": os.path.isfile(root / MARKER),
        "empty": readable and holds_nothing(root),
        "writable": os.access(nearest, os.W_OK | os.X_OK) and os.path.isdir(nearest),
        "free_bytes": usage.free,
        "total_bytes": usage.total,
        "filesystem": _mount_type(nearest),
    }


def holds_nothing(root: Path) -> bool:
    """Whether a folder is empty but for Ansible's own temporary folders, which a mere check leaves there."""
    tmp = root / "tmp"
    if any(path != tmp or path.is_symlink() or not path.is_dir() for path in root.iterdir()):
        return False
    return not tmp.exists() or all(path.name in ("ansible", "jobs") for path in tmp.iterdir())


def read_installed(root: str) -> Facts:
    """What lies whole under `root`, as fingerprints to compare with the wanted ones."""
    base = Path(root)
    supervisor = base / "supervisor" / "env"
    environments = [*_folders(base / "env"), *([supervisor] if os.path.isdir(supervisor) else [])]
    return {
        "environments": {str(path): read_stamp(path).get("locks") or {} for path in environments},
        "models": read_models(base / "models"),
        "localai": installed(base / "localai"),
        "release": read_folder(base / "current"),
        "key": read_key(base / "secrets" / "api_key"),
    }


def _folders(parent: Path) -> list[Path]:
    if not os.access(parent, os.R_OK | os.X_OK) or not os.path.isdir(parent):
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_folder(path: Path) -> Facts:
    """A folder that was installed whole: its real path and fingerprint; both None when it is not."""
    manifest = read_manifest(path)
    if not manifest or not is_whole(path, manifest):
        return {"path": None, "fingerprint": None}
    return {"path": os.path.realpath(path), "fingerprint": manifest["fingerprint"]}


def read_key(path: Path) -> Facts:
    """Whether the API key is there and only its owner can read it. The key itself is never returned."""
    try:
        status = path.stat()
    except OSError:
        return {"present": False, "private": None, "owner": None}
    return {
        "present": status.st_size > 0,
        "private": not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO),
        "owner": _user_name(status.st_uid),
    }


def default_candidates() -> list[str]:
    return [sys.executable, "python3", "python3.12", "python3.11", "python3.13"]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _mount_type(path: Path) -> str | None:
    best, kind = "", None
    target = os.path.realpath(path)
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    for line in mounts:
        _, point, this_kind = line.split()[:3]
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, this_kind
    return kind
