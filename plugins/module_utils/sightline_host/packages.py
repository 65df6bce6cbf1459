"""What dpkg installed that matters to a GPU host, what is held, and whether a program installs just now."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

from .reading import Facts, text_of

_MATTERS = re.compile(
    r"^Package: ("
    r"(?:lib|firmware-)?nvidia[\w.+-]*|xserver-xorg-video-nvidia[\w.+-]*|linux-(?:modules|objects|signatures)-nvidia[\w.+-]*"
    r"|cuda[\w.+-]*|libcuda[\w.+-]*|libcudnn[\w.+-]*|cudnn[\w.+-]*"
    r"|dkms|linux-(?:image|headers)-[\w.+-]+|unattended-upgrades"
    r")$",
    re.MULTILINE,
)
_LOCKS = ("var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/apt/lists/lock")
# struct flock of 64-bit Linux: type, whence, start, length, process; see fcntl(2).
_FLOCK = "hhqqi4x"


def read_packages(root: Path) -> Facts:
    """{"manager": "dpkg" or None, "installed": {name: version}, "held": [names], "lock": see read_lock}."""
    status = text_of(root / "var/lib/dpkg/status")
    installed: dict[str, str] = {}
    held: list[str] = []
    for found in _MATTERS.finditer(status):
        end = status.find("\n\n", found.start())
        entry = status[found.start() : end if end >= 0 else len(status)]
        fields = dict(re.findall(r"^(Status|Version): (.*)$", entry, re.MULTILINE))
        selection, _, state = fields.get("Status", "").rpartition(" ")
        if state in ("installed", "half-configured", "unpacked", "triggers-awaited", "triggers-pending"):
            installed[found[1]] = fields.get("Version", "")
            if selection.startswith("hold"):
                held.append(found[1])
    return {
        "manager": "dpkg" if status else None,
        "installed": dict(sorted(installed.items())),
        "held": sorted(held),
        "lock": read_lock(root),
    }


def read_lock(root: Path) -> Facts:
    """Whether apt or dpkg is at work: {"held": True or False, "holder": "apt-get (pid 7)" or None}.

    Nobody is made to wait: the kernel is asked who holds the lock, which needs the right to open the file,
    else its list of locks is searched for the file's inode.
    """
    for name in _LOCKS:
        pid = _lock_owner(root / name)
        if pid is None:
            pid = _listed_owner(root / name, text_of(root / "proc/locks"))
        if pid:
            program = text_of(root / "proc" / str(pid) / "comm").strip()
            return {"held": True, "holder": f"{program or 'a program'} (pid {pid})"}
    return {"held": False, "holder": None}


def _lock_owner(path: Path) -> int | None:
    """The process that holds a lock on `path`, 0 for nobody, None where the file may not be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else abs(int(pid))


def _listed_owner(path: Path, locks: str) -> int:
    """The process that /proc/locks names for `path`, 0 for none.

    A line: "1: POSIX  ADVISORY  WRITE 713 fd:01:1048 0 EOF" (pid, device:inode). Layered file systems show
    another device there than in stat (theirs has the major number 0): then the inode has to do.
    """
    try:
        status = os.stat(path)
    except OSError:
        return 0
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) < 6 or fields[1] != "POSIX" or fields[3] != "WRITE" or not fields[4].isdigit():
            continue
        where, _, inode = fields[5].rpartition(":")
        if inode == str(status.st_ino) and (where == device or os.major(status.st_dev) == 0):
            return int(fields[4])
    return 0
