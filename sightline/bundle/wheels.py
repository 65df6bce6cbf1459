"""The wheels of lock files, downloaded by pip, which holds each against the lock's hashes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.bundle.manifest import BundleProblem
from sightline.layout import LockFile

Say = Callable[[str], None]


def minor_of(python: str) -> str:
    """The minor version ("3.11") of a Python program. Raises BundleProblem."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        told = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BundleProblem(f"{python} is no Python that runs ({problem}): name another") from problem
    if told.returncode != 0 or not told.stdout.strip():
        raise BundleProblem(f"{python} is no Python that runs: name another")
    return told.stdout.strip()


@contextmanager
def pip_of(python: str) -> Iterator[list[str]]:
    """The words that run a pip on `python`, one of our own: the system's may be missing or its owner's."""
    with tempfile.TemporaryDirectory(prefix="sightline-bundle-") as scratch:
        made = subprocess.run([python, "-m", "venv", scratch], capture_output=True, text=True)
        if made.returncode != 0:
            raise BundleProblem(
                f"{python} -m venv failed: on Debian and Ubuntu install python3-venv (or python3.X-venv)"
            )
        yield [f"{scratch}/bin/python", "-m", "pip"]


def download(pip: list[str], lock: LockFile, folder: Path, cache: Path, say: Say) -> list[str]:
    """Bring the wheels of `lock` into `folder`; returns their names. Raises BundleProblem.

    A lock names every package that it needs, so nothing is resolved. Wheels that are there already come out
    of pip's cache.
    """
    failures = []
    for index in lock.indexes:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
            command = [
                *pip, "download", "--no-input", "--disable-pip-version-check", "--no-deps",
                "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off", "--dest", scratch,
                "--cache-dir", str(cache), "--requirement", lock.file,
                *(["--index-url", index] if index else []),
            ]  # fmt: skip
            ended = subprocess.run(command, capture_output=True, text=True)
            if ended.returncode == 0:
                names = sorted(wheel.name for wheel in Path(scratch).iterdir())
                for name in names:
                    shutil.move(f"{scratch}/{name}", folder / name)
                say(f"{lock.name}: {len(names)} wheels")
                return names
        said = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        failures.append(f"{index or 'the configured index'}: {(said or ['pip said nothing'])[-1]}")
    raise BundleProblem(f"the wheels of {lock.name} cannot be fetched: " + "; then ".join(failures))


def own_python() -> str:
    """The Python that this program's environment was made with."""
    return getattr(sys, "_base_executable", "") or sys.executable
