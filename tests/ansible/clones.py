"""Copies of this checkout, as a stranger's clone has it, to run the real commands in."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Clone:
    """A copy of the files that git knows or would know, with a port of its own."""

    path: Path
    port: int

    def run(
        self, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the clone, e.g. `scripts/up`; its output is shown when the test fails."""
        ended = subprocess.run(
            command,
            cwd=self.path,
            env={**plain_environment(), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=900,
        )
        print(f"$ {' '.join(command)}\n{ended.stdout}")
        return ended

    def up(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`scripts/up` on this clone's port."""
        return self.run("scripts/up", "-e", f"sightline_port={self.port}", *words, environment=environment)

    def processes(self) -> list[str]:
        """Command lines of the processes that were started from this clone."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if f"{self.path}/.sightline" in command:
                    found.append(f"{folder.name} {command}")
        return found


def plain_environment() -> dict[str, str]:
    """The environment less what this test run itself set for its own tools."""
    mine = ("PYTHONPYCACHEPREFIX", "ANSIBLE_", "SIGHTLINE_", "PYTHONPATH", "PYTEST_", "HF_HUB_OFFLINE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    # Packages that were fetched once for these tests are not fetched again for each clone.
    return kept | {"PIP_CACHE_DIR": str(CHECKOUT / ".sightline" / "cache" / "pip")}


def copy_checkout(to: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT, capture_output=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.decode().split("\0"):
        source = CHECKOUT / name
        if name and source.is_file():
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return to


@contextmanager
def cloned(folder: Path, own_environments: bool = False) -> Iterator[Clone]:
    """A clone in `folder`; whatever still runs from it at the end is stopped by its pid.

    It uses this checkout's .venv, or makes `own_environments`, as a stranger's clone would.
    """
    made = Clone(copy_checkout(folder), free_port())
    if not own_environments:
        (made.path / ".venv").symlink_to(CHECKOUT / ".venv")
    yield made
    for line in made.processes():
        os.kill(int(line.split()[0]), signal.SIGTERM)
    deadline = time.monotonic() + 20
    while made.processes() and time.monotonic() < deadline:
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def pid_of(clone: Clone, words: Sequence[str]) -> int:
    """The pid of the clone's process whose command line holds all of `words`."""
    for line in clone.processes():
        if all(word in line for word in words):
            return int(line.split()[0])
    raise AssertionError(f"no process with {words} among {clone.processes()}")
