"""A Python environment built from hash-locked files, and the stamp that says which.

Standard library only: it runs on hosts inside an Ansible module, and as a program on a machine where
nothing is installed yet (scripts/environment). An environment without a stamp is a half-built one and is
built anew; a stamped one whose locks are the wanted ones costs one file read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .alone import StillAtWork, alone
from .pip_output import LINKS, Progress, Say, reason, tail

STAMP = ".sightline.json"
CONFIGURED = ""
"""The index source that pip's own configuration names."""


class Base(Protocol):
    """A Python whose packages an environment uses (adopted.py)."""

    @property
    def described(self) -> Mapping[str, str]: ...
    @property
    def brought(self) -> Mapping[str, str]: ...
    def create(self, path: Path, interpreter: str) -> subprocess.CompletedProcess[str]: ...
    def rest(self, path: Path, text: str) -> str: ...


class EnvironmentProblem(Exception):
    """An environment could not be built; the message says what failed, why and what to do."""


@dataclass(frozen=True)
class Lock:
    """A requirements file in which every package has an exact version and hashes.

    `indexes` are tried in order until one has the packages: a URL, `LINKS` and a folder or URL, or
    `CONFIGURED` for pip's own.
    """

    name: str
    text: str
    no_deps: bool = False
    indexes: tuple[str, ...] = (CONFIGURED,)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def count(self) -> int:
        return len(re.findall(r"^[A-Za-z0-9][\w.-]*==", self.text, flags=re.MULTILINE))


def read_stamp(path: Path) -> dict[str, object]:
    """What was installed into `path`: {"python": "3.11.7", "locks": {name: sha256}}; {} if not whole.

    One that stands on another Python also has what that is ("adopted") and what it uses of it ("brought").
    """
    try:
        stamp = json.loads((path / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and os.access(path / "bin" / "python", os.X_OK) else {}


def missing_locks(path: Path, locks: Sequence[Lock], base: Base | None = None) -> list[Lock] | None:
    """The locks that `path` still needs ([] when it is complete), or None when it must be built anew."""
    stamp = read_stamp(path)
    installed = stamp.get("locks")
    if not isinstance(installed, dict) or stamp.get("adopted") != (base.described if base else None):
        return None
    if any(lock.name in installed and installed[lock.name] != lock.sha256 for lock in locks):
        return None
    return [lock for lock in locks if lock.name not in installed]


def build(
    path: Path,
    interpreter: str,
    locks: Sequence[Lock],
    say: Say,
    cache: str | None = None,
    base: Base | None = None,
) -> bool:
    """Make `path` an environment of `interpreter` with `locks` installed; True when anything changed.

    With a `base` only what that does not bring is installed.

    Raises EnvironmentProblem; what was half-built is removed, an environment that was whole before is kept.
    """
    if missing_locks(path, locks, base) == []:
        return False
    try:
        with alone(path, say):
            return _build(path, interpreter, locks, say, cache, base)
    except StillAtWork as problem:
        raise EnvironmentProblem(str(problem)) from problem


def _build(
    path: Path, interpreter: str, locks: Sequence[Lock], say: Say, cache: str | None, base: Base | None
) -> bool:
    # Asked again: whoever was at it before may have finished it.
    todo = missing_locks(path, locks, base)
    if todo == []:
        return False
    fresh = todo is None
    with _replacing(path) if fresh else nullcontext():
        if fresh:
            _create(path, interpreter, say, base)
        for lock in locks if todo is None else todo:
            text = base.rest(path, lock.text) if base else lock.text
            _install(path, lock, text, say, cache)
            _stamp(path, lock, base)
    return True


@contextmanager
def _replacing(path: Path) -> Iterator[None]:
    """Put `path` aside while its successor is built; on failure bring it back if it was a whole one."""
    aside = path.with_name(f".{path.name}.old")
    if read_stamp(path) or not aside.exists():
        shutil.rmtree(aside, ignore_errors=True)
        if path.exists():
            path.rename(aside)
    # Otherwise a build was killed half-way: `aside` is still the last whole environment.
    for left in [path, *path.parent.glob(f"{_scratch(path)}*")]:
        shutil.rmtree(left, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if read_stamp(aside):
            aside.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _create(path: Path, interpreter: str, say: Say, base: Base | None) -> None:
    say(f"creating {path} with {interpreter}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if base:
        made = base.create(path, interpreter)
    else:
        made = subprocess.run([interpreter, "-m", "venv", str(path)], capture_output=True, text=True)
    if made.returncode != 0:
        raise EnvironmentProblem(
            f"{interpreter} -m venv {path} failed: {tail(made.stdout + made.stderr)}. "
            "On Debian and Ubuntu install the package python3-venv (or python3.X-venv) and run this again."
        )


def _stamp(path: Path, lock: Lock, base: Base | None) -> None:
    stamp = read_stamp(path)
    if not stamp:
        version = subprocess.run(
            [str(path / "bin/python"), "-c", "import platform; print(platform.python_version())"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        stamp = {"python": version.stdout.strip(), "locks": {}}
    locks = stamp["locks"]
    assert isinstance(locks, dict)
    locks[lock.name] = lock.sha256
    if base:
        brought = stamp.get("brought")
        stamp["adopted"] = dict(base.described)
        stamp["brought"] = {**(brought if isinstance(brought, dict) else {}), **base.brought}
    beside = path / (STAMP + ".new")
    beside.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n")
    beside.replace(path / STAMP)


def _install(path: Path, lock: Lock, text: str, say: Say, cache: str | None) -> None:
    if lock.count and not text.strip():
        say(f"{lock.name}: all of it is there already")
        return
    requirements = path / f"{lock.name}.lock.txt"
    requirements.write_text(text)
    command = [
        str(path / "bin/python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
        "--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements),
    ]  # fmt: skip
    # The pip that ensurepip brings may be too old for machine-readable progress; the pinned one has it.
    command += ["--progress-bar", "off" if lock.name == "pip" else "raw"]
    if lock.no_deps:
        command.append("--no-deps")
    failures = []
    for index in lock.indexes:
        with tempfile.TemporaryDirectory(prefix=_scratch(path), dir=path.parent) as scratch:
            words = [*command, *_source(index)]
            output, code, free = _run_pip(words, Lock(lock.name, text), say, cache, scratch)
        if code == 0:
            return
        failures.append(reason(output, index, free))
    raise EnvironmentProblem(f"installing {lock.name} into {path} failed: " + "; then ".join(failures))


def _scratch(path: Path) -> str:
    return f".{path.name}.pip-"


def _source(index: str) -> list[str]:
    if index.startswith(LINKS):
        return ["--no-index", "--find-links", index.removeprefix(LINKS)]
    return ["--index-url", index] if index else []


def _run_pip(
    command: list[str], lock: Lock, say: Say, cache: str | None, scratch: str
) -> tuple[str, int, int]:
    """What pip said, its exit code, and the least bytes that were free on the disk meanwhile."""
    # Wheels of gigabytes are unpacked from there: /tmp may be small, or memory.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "TMPDIR": scratch}
    environment.pop("PYTHONPATH", None)
    if cache:
        environment.setdefault("PIP_CACHE_DIR", cache)
    lines: list[str] = []
    progress = Progress(lock.name, lock.count, say)
    free = shutil.disk_usage(scratch).free
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            free = min(free, shutil.disk_usage(scratch).free)
            if not progress.read(line.strip()):
                lines.append(line.rstrip())
    return "\n".join(lines[-60:]), pip.returncode, free


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build a Python environment from hash-locked files.")
    parser.add_argument("path", type=Path, help="the environment's folder")
    parser.add_argument(
        "locks", nargs="+", metavar="LOCK",
        help="lock file, in order; FILE@ installs it without dependencies, FILE@URL from there in the end",
    )  # fmt: skip
    parser.add_argument("--interpreter", default=sys.executable)
    parser.add_argument("--cache", help="pip's cache folder, unless PIP_CACHE_DIR is set")
    options = parser.parse_args(argv)

    def say(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    try:
        locks = [_read_lock(item) for item in options.locks]
        build(options.path, options.interpreter, locks, say, options.cache)
    except (EnvironmentProblem, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _read_lock(item: str) -> Lock:
    file, alone, index = item.partition("@")
    name = Path(file).name.replace(".lock.txt", "")
    return Lock(name, Path(file).read_text(), bool(alone), (CONFIGURED, index) if index else (CONFIGURED,))


if __name__ == "__main__":
    sys.exit(main())
