"""A Python environment built from hash-locked files, and the stamp that says which.

Standard library only: it runs on hosts inside an Ansible module, and as a plain script on a machine where
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

STAMP = ".sightline.json"
CONFIGURED = ""
"""The index source that pip's own configuration names."""

UNREACHABLE = (
    "NewConnectionError|ConnectionError|Failed to establish|Name or service not known|name resolution|"
    "Network is unreachable|Connection refused|timed out|ProxyError|SSLError|CERTIFICATE_VERIFY_FAILED"
)

Say = Callable[[str], None]


class EnvironmentProblem(Exception):
    """An environment could not be built; the message says what failed, why and what to do."""


@dataclass(frozen=True)
class Lock:
    """A requirements file in which every package has an exact version and hashes.

    `indexes` are tried in order until one has the packages: a URL, or `CONFIGURED` for pip's own.
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
    """What was installed into `path`: {"python": "3.11.7", "locks": {name: sha256}}; {} if not whole."""
    try:
        stamp = json.loads((path / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and os.access(path / "bin" / "python", os.X_OK) else {}


def missing_locks(path: Path, locks: Sequence[Lock]) -> list[Lock] | None:
    """The locks that `path` still needs ([] when it is complete), or None when it must be built anew."""
    stamp = read_stamp(path)
    installed = stamp.get("locks")
    if not isinstance(installed, dict):
        return None
    if any(lock.name in installed and installed[lock.name] != lock.sha256 for lock in locks):
        return None
    return [lock for lock in locks if lock.name not in installed]


def build(path: Path, interpreter: str, locks: Sequence[Lock], say: Say, cache: str | None = None) -> bool:
    """Make `path` an environment of `interpreter` with `locks` installed; True when anything changed.

    Raises EnvironmentProblem; what was half-built is removed, an environment that was whole before is kept.
    """
    todo = missing_locks(path, locks)
    if todo == []:
        return False
    fresh = todo is None
    with _replacing(path) if fresh else nullcontext():
        if fresh:
            _create(path, interpreter, say)
        for lock in locks if todo is None else todo:
            _install(path, lock, say, cache)
            _stamp(path, lock)
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
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if read_stamp(aside):
            aside.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _create(path: Path, interpreter: str, say: Say) -> None:
    say(f"creating {path} with {interpreter}")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run([interpreter, "-m", "venv", str(path)], capture_output=True, text=True)
    if made.returncode != 0:
        raise EnvironmentProblem(
            f"{interpreter} -m venv {path} failed: {_tail(made.stdout + made.stderr)}. "
            "On Debian and Ubuntu install the package python3-venv (or python3.X-venv) and run this again."
        )


def _stamp(path: Path, lock: Lock) -> None:
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
    beside = path / (STAMP + ".new")
    beside.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n")
    beside.replace(path / STAMP)


def _install(path: Path, lock: Lock, say: Say, cache: str | None) -> None:
    requirements = path / f"{lock.name}.lock.txt"
    requirements.write_text(lock.text)
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
        source = ["--index-url", index] if index else []
        output, code = _run_pip([*command, *source], lock, say, cache)
        if code == 0:
            return
        failures.append(_reason(output, index))
    raise EnvironmentProblem(f"installing {lock.name} into {path} failed: " + "; then ".join(failures))


def _run_pip(command: list[str], lock: Lock, say: Say, cache: str | None) -> tuple[str, int]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONPATH", None)
    if cache:
        environment.setdefault("PIP_CACHE_DIR", cache)
    lines: list[str] = []
    progress = Progress(lock, say)
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
            if not progress.read(line.strip()):
                lines.append(line.rstrip())
    return "\n".join(lines[-60:]), pip.returncode


class Progress:
    """Turns pip's output into short lines: which package of how many, and how far a long download is."""

    def __init__(self, lock: Lock, say: Say) -> None:
        self.lock, self.say = lock, say
        self.package, self.seen, self.tenth = "", 0, 0

    def read(self, line: str) -> bool:
        """Take one line of pip's output; True when it was nothing but a progress figure."""
        if match := re.match(r"Progress (\d+) of (\d+)$", line):
            done, total = int(match[1]), int(match[2])
            tenth = 10 * done // total if total else 0
            if total > 20_000_000 and tenth > self.tenth:
                self.tenth = tenth
                self.say(f"{self.package}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
            return True
        if match := re.match(
            r"(?:Collecting |Processing \S*/)([A-Za-z0-9][\w.]*(?:-[A-Za-z_][\w.]*)*)", line
        ):
            self.package, self.tenth = match[1], 0
            self.seen += 1
            self.say(f"{self.lock.name} {self.seen}/{self.lock.count}: {self.package}")
        elif line.startswith("Installing collected packages"):
            self.say(f"{self.lock.name}: unpacking {self.seen} packages")
        return False


def _reason(output: str, index: str) -> str:
    where = f"index {index}" if index else "pip's configured index"
    if "DO NOT MATCH THE HASHES" in output or "hash mismatch" in output.lower():
        return (
            f"{where} gave a file that is not the one in the lock file; it was not installed. "
            "Use another index (PIP_INDEX_URL), or rewrite the lock (scripts/lock) if you trust the new file"
        )
    if "No space left on device" in output:
        return f"the disk is full while installing from {where}: free some space and run this again"
    if match := re.search(UNREACHABLE, output):
        return f"{where} cannot be reached ({match[0]}): check network, proxy variables and PIP_INDEX_URL"
    if match := re.search(r"No matching distribution found for (\S+)", output):
        # pip without retries (PIP_RETRIES=0) does not say that an index is down: it has "no versions" then.
        silent = ", or did not answer" if "from versions: none" in output else ""
        return f"{where} has no {match[1]} for this Python and machine{silent}"
    return f"{where}: {_tail(output)}"


def _tail(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return " / ".join((errors or lines)[-3:]) or "no output"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build a Python environment from hash-locked files.")
    parser.add_argument("path", type=Path, help="the environment's folder")
    parser.add_argument(
        "locks", nargs="+", metavar="LOCK",
        help="lock file, in order; FILE@URL installs it without dependencies and tries that index second",
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
    file, _, index = item.partition("@")
    name = Path(file).name.replace(".lock.txt", "")
    return Lock(name, Path(file).read_text(), bool(index), (CONFIGURED, index) if index else (CONFIGURED,))


if __name__ == "__main__":
    sys.exit(main())
