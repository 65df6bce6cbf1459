"""One at a time: what a run began that was cut off at the controller may still be at work on the host."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 3600.0
"""How long another one is waited for: it may be fetching gigabytes."""

_POLL_SECONDS = 0.2


class StillAtWork(Exception):
    """Another run did not end in time; the message says which process it is and what to do."""


@contextmanager
def alone(path: Path, say: Callable[[str], None], seconds: float = SECONDS) -> Iterator[None]:
    """Be the only one that works on `path`, by a lock in a file beside it, which is gone afterwards.

    Raises StillAtWork when another process keeps it for longer than `seconds`.
    """
    file = path.with_name(f".{path.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline, told = time.monotonic() + seconds, False
    while (descriptor := _lock(file)) is None:
        if time.monotonic() > deadline:
            raise StillAtWork(
                f"another run is still at work on {path} (process {_holder(file)}), for more than "
                f"{seconds / 60:.0f} minutes: wait for it or stop it, then run this again"
            )
        if not told:
            say(f"waiting for an earlier run, which is still at work on {path} (process {_holder(file)})")
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        # While it is held: whoever waits finds another file under the name, or none, and begins again.
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(file: Path) -> int | None:
    """The locked file's descriptor; None while another process has the lock."""
    # Not inherited: a daemon that is started meanwhile must not keep the lock.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == os.stat(file).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _holder(file: Path) -> str:
    try:
        return file.read_text().strip() or "?"
    except OSError:
        return "?"
