"""A copy of this checkout to deploy from, so that a measurement leaves nothing in the one it measures."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightline.bench.errors import BenchError
from sightline.bench.running import Ended, run
from sightline.layout import CHECKOUT


@dataclass(frozen=True)
class Workspace:
    """The copy, and the folder of its ssh connections' sockets, whose path must be short."""

    folder: Path
    sockets: Path

    def run(self, *words: str, more: dict[str, str] | None = None) -> Ended:
        """Run a program of the controller's environment in the copy, with scripts/playbook's settings."""
        program = self.folder / ".venv/controller/bin" / words[0]
        return run(
            [str(program), *words[1:]], folder=self.folder, environment=self._environment() | (more or {})
        )

    def hang_up(self) -> None:
        """End the connections that are kept open, so that the next command makes its own."""
        for socket in self.sockets.glob("*"):
            # ssh wants some host's name; the socket says whose connection it is.
            words = ["ssh", "-F", os.devnull, "-o", f"ControlPath={socket}", "-O", "exit", "kept"]
            ended = run(words, folder=self.folder, timeout=30)
            if ended.code != 0 and socket.exists():
                raise BenchError(f"a connection that was kept open does not end: {ended.output.strip()}")

    def _environment(self) -> dict[str, str]:
        # What a person happens to have set, such as PYTHONDONTWRITEBYTECODE, is not what is to be measured.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ANSIBLE_", "SIGHTLINE_"))}
        return kept | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "PYTHONPYCACHEPREFIX": str(self.folder / ".sightline/pycache"),
            "PATH": f"{self.folder}/.venv/controller/bin:{os.environ.get('PATH', os.defpath)}",
            "LC_ALL": "C.UTF-8",
        }


@contextmanager
def workspace(folder: Path) -> Iterator[Workspace]:
    """A copy of the checkout in `folder`, which is made anew and removed at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="sl-", ignore_cleanup_errors=True) as sockets:
        try:
            copy(CHECKOUT, folder)
            made = Workspace(folder, Path(sockets))
            try:
                yield made
            finally:
                made.hang_up()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def copy(checkout: Path, to: Path) -> None:
    """What a clone holds, with the checkout's own environments: they are only read."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        top = Path(folder) == checkout
        return [name for name in names if name == "__pycache__" or (top and name.startswith("."))]

    shutil.copytree(checkout, to, ignore=left_out, symlinks=True)
    (to / ".venv").symlink_to(checkout / ".venv")
