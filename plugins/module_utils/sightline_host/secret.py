"""A secret that is made once, on the host, and that only its owner can read."""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path


def ensure_secret(path: Path, prefix: str, owner: str | None, dry: bool = False) -> list[str]:
    """Make `path` hold a random secret of 256 bits with mode 0600; returns what was (or would be) changed.

    An existing secret is kept: clients know it. Raises OSError; but a dry run's owner may be one who is only
    to be made before.
    """
    try:
        wanted = find_user(owner) if owner is not None else None
    except OSError:
        if not dry:
            raise
        return ["made"] if not path.exists() else [f"owner of {path.name} -> {owner}"]
    changes = []
    if not path.exists() or path.stat().st_size == 0:
        changes.append("made")
        if not dry:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(path, prefix + secrets.token_urlsafe(32) + "\n")
    if dry and not path.exists():
        return changes
    status = path.stat()
    if status.st_mode & 0o777 != 0o600:
        changes.append(f"mode {status.st_mode & 0o777:04o} -> 0600")
        if not dry:
            path.chmod(0o600)
    if wanted is not None:
        for target in (path.parent, path):
            if target.stat().st_uid != wanted.pw_uid:
                changes.append(f"owner of {target.name} -> {wanted.pw_name}")
                if not dry:
                    os.chown(target, wanted.pw_uid, wanted.pw_gid)
    return changes


def keep_private(path: Path, text: str, owner: str | None, dry: bool = False) -> list[str]:
    """Make `path` hold `text` with mode 0600 and owner `owner`; an empty text removes it. Returns what was
    (or would be) changed. Raises OSError; but a dry run's owner may be one who is only to be made before.
    """
    if not text:
        if not path.exists():
            return []
        if not dry:
            path.unlink()
        return [f"{path.name} removed"]
    whole = path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == 0o600
    if whole and (owner is None or path.stat().st_uid == find_user(owner).pw_uid):
        return []
    if not dry:
        wanted = find_user(owner) if owner is not None else None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, text, wanted)
        if wanted is not None and path.parent.stat().st_uid != wanted.pw_uid:
            os.chown(path.parent, wanted.pw_uid, wanted.pw_gid)
    return [f"{path.name} written"]


def find_user(name: str) -> pwd.struct_passwd:
    """The user `name` of this host. Raises OSError when there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise OSError(f"there is no user {name!r} on this host") from None


def _write_private(path: Path, text: str, owner: pwd.struct_passwd | None = None) -> None:
    beside = path.with_name(path.name + ".new")
    # Left by a run that was interrupted; its mode is not to be trusted.
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner is not None:
            os.fchown(descriptor, owner.pw_uid, owner.pw_gid)
    beside.replace(path)
