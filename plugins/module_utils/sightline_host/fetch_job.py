"""sightline-fetch at work in the background: it outlives the connection that started it.

A job is a folder with the program, the catalogue's entry, and what came of it: `log` (JSON lines), `pid`, and
`ended` (the exit code) once it has ended. While it is at work it holds a lock on `lock`, however its
controller fares; so a stale `pid` is never mistaken for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .folder import Manifest, install
from .reading import text_of

LEAST_PYTHON = (3, 10)
KIT = "kit"
"""Below the job: the program and the entry, and the model's files where those come from the controller."""
_STOP_SECONDS = 20.0
# sh waits for the program and writes how it ended; killed itself, it writes nothing.
_RUN = '"$@" >>log 2>&1; code=$?; [ $code != 0 ] || rm -rf kit; echo $code >ended.new; mv ended.new ended'


class JobProblem(Exception):
    """The fetch cannot be started; says why and what to do."""


def choose_python(candidates: Sequence[str]) -> str:
    """The first of `candidates` (names or paths) that sightline-fetch runs on; "" where none does."""
    ask = f"import sys; sys.exit(sys.version_info[:2] < {LEAST_PYTHON!r})"
    for candidate in candidates:
        path = shutil.which(candidate) if candidate else None
        if path:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                if subprocess.run([path, "-c", ask], timeout=20, capture_output=True).returncode == 0:
                    return path
    return ""


def is_at_work(job: Path) -> bool:
    """Whether the job's process, or a child of it, is alive."""
    try:
        descriptor = os.open(job / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def ended_with(job: Path) -> int | None:
    """The exit code; None while it is at work, or where it was ended from outside."""
    said = text_of(job / "ended").strip()
    return int(said) if said.isdigit() and not is_at_work(job) else None


def start(
    job: Path,
    archive: Path,
    manifest: Manifest,
    python: str,
    words: Sequence[str],
    secrets: Mapping[str, str],
    program: str = "sightline_fetch",
) -> bool:
    """Start the fetch, or leave one at work that was told the same. Returns whether it was started.

    `words`: of the program, a module of the kit; relative paths are below the job. `secrets` go to its
    environment only. Raises JobProblem, FolderProblem, OSError.
    """
    told = json.dumps([manifest["fingerprint"], list(words), _digest(secrets)])
    if is_at_work(job):
        if text_of(job / "told") == told:
            return False
        stop(job)
    job.mkdir(parents=True, exist_ok=True)
    job.chmod(0o755)
    install(archive, manifest, job / KIT)
    for name in ("ended", "log"):
        (job / name).unlink(missing_ok=True)
    (job / "log").touch()
    (job / "told").write_text(told)
    kit = job / KIT
    environment = {**os.environ, **secrets, "PYTHONPATH": str(kit), "PYTHONDONTWRITEBYTECODE": "1"}
    descriptor = os.open(job / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process = subprocess.Popen(
            ["sh", "-c", _RUN, "sightline-fetch", python, "-m", program, *words],
            cwd=job, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=(descriptor,), umask=0o022,
        )  # fmt: skip
    except BlockingIOError as problem:
        raise JobProblem(f"another run starts the fetch in {job} at this moment: run this again") from problem
    finally:
        os.close(descriptor)
    (job / "pid").write_text(f"{process.pid}\n")
    return True


def wait(job: Path, seconds: float) -> int | None:
    """Wait until the job has ended; its exit code, None where it is still at work or was ended."""
    deadline = time.monotonic() + seconds
    while is_at_work(job) and time.monotonic() < deadline:
        time.sleep(0.05)
    return ended_with(job)


def stop(job: Path) -> bool:
    """End the job's processes; what has come stays. Returns whether there was one at work.

    Raises JobProblem: it does not end.
    """
    pid = text_of(job / "pid").strip()
    if not is_at_work(job) or not pid.isdigit():
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid), number)
        deadline = time.monotonic() + _STOP_SECONDS
        while is_at_work(job) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not is_at_work(job):
            return True
    raise JobProblem(f"the fetch in {job} (process {pid}) does not end: end it, then run this again")


def stop_all(jobs: Path) -> None:
    """End every job below `jobs`. Raises JobProblem."""
    if os.path.isdir(jobs):
        for job in sorted(jobs.iterdir()):
            stop(job)


def _digest(secrets: Mapping[str, str]) -> str:
    """Tells one token from another without keeping it."""
    return hashlib.sha256(json.dumps(sorted(secrets.items())).encode()).hexdigest()[:8]
