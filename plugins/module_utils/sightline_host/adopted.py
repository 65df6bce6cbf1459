"""An environment that stands on a Python which brings PyTorch along, as rented images do.

What is there at the wanted version is used as it is; everything else of the lock files is installed beside
it and comes first. The Python itself is not touched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

VISIBLE = """\
import importlib.metadata, json, os, sys
prefix, found = os.path.realpath(sys.prefix) + os.sep, {}
for item in importlib.metadata.distributions():
    name = item.metadata["Name"]
    inside = (os.path.realpath(item.locate_file("")) + os.sep).startswith(prefix)
    if name and name not in found:
        found[name] = {"version": item.version, "inside": inside}
print(json.dumps(found))
"""
"""Prints the distributions that a Python sees, each once as it would be imported, and whether its own
environment holds it."""

_LIBRARIES = "nvidia-"
_POINTER = "sightline-adopted.pth"


class AdoptionProblem(Exception):
    """The Python that was to be built on is not what it seemed; the message says what differs."""


@dataclass
class AdoptedBase:
    """A Python with torch in it. `packages`: the folder that torch lies in; `kind`: system, venv or conda.

    `brought` fills while locks are installed: what is used of the base, with its version.
    """

    packages: str
    kind: str
    torch: str
    brought: dict[str, str] = field(default_factory=dict)

    @property
    def described(self) -> dict[str, str]:
        """What the environment's stamp says of its base."""
        return {"packages": self.packages, "torch": self.torch}

    def create(self, path: Path, interpreter: str) -> subprocess.CompletedProcess[str]:
        """Run venv so that the base's packages are seen from `path`, its pip among them."""
        command = [interpreter, "-m", "venv", "--without-pip", str(path)]
        if self.kind != "venv" or _sees_system(Path(self.packages)):
            command.append("--system-site-packages")
        made = _run(command)
        if made.returncode == 0 and self.kind == "venv":
            # An environment made from an environment looks into the Python below both, not into the first.
            for folder in path.glob("lib/python3*/site-packages"):
                (folder / _POINTER).write_text(f"import site; site.addsitedir({self.packages!r})\n")
        python = str(path / "bin/python")
        if made.returncode == 0 and _run([python, "-m", "pip", "--version"]).returncode != 0:
            # Some images come without: those that uv has made.
            made = _run([python, "-m", "ensurepip", "--default-pip"])
        return made

    def rest(self, path: Path, text: str) -> str:
        """The lock's text without what the base brings; what is used of the base is added to `brought`.

        Raises AdoptionProblem when the base's torch is another one than it was said to be.
        """
        seen = visible(path)
        torch = seen.get("torch", (None, False))[0]
        if torch != self.torch:
            raise AdoptionProblem(
                f"{self.packages} has torch {torch or 'no more'}, not {self.torch} as the probe found: "
                "run this again, or build an environment of its own: -e sightline_python_env=own"
            )
        kept = []
        for name, version, block in blocks(text):
            there, inside = seen.get(name, (None, False))
            if there is not None and not inside and _same(version, there):
                self.brought[name] = there
            elif name.startswith(_LIBRARIES) and there is None:
                # This torch was built with libraries of its own; wheels beside them would not be loaded.
                self.brought[name] = "torch's own"
            elif name.startswith(_LIBRARIES) and not inside:
                raise AdoptionProblem(
                    f"{self.packages} has {name} {there}, where the lock says {version}, and torch loads it: "
                    "build an environment of its own (-e sightline_python_env=own)"
                )
            else:
                kept.append(block)
        return "".join(kept)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONNOUSERSITE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def visible(path: Path) -> dict[str, tuple[str, bool]]:
    """What the environment's Python sees: {canonical name: (version, whether the environment holds it)}."""
    asked = subprocess.run([str(path / "bin/python"), "-I", "-c", VISIBLE], capture_output=True, text=True)
    if asked.returncode != 0:
        raise AdoptionProblem(f"{path}/bin/python does not run: {asked.stderr.strip()[-300:]}")
    found = json.loads(asked.stdout)
    return {canonical(name): (item["version"], item["inside"]) for name, item in found.items()}


def blocks(text: str) -> list[tuple[str, str, str]]:
    """The pins of a lock file: (canonical name, version, its lines with their ends)."""
    found = []
    for match in re.finditer(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)(?:.*\\\n)*.*\n?", text, re.MULTILINE):
        found.append((canonical(match[1]), match[2], match[0]))
    return found


def canonical(name: str) -> str:
    """A distribution's name as the packaging standard (PEP 503) compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _same(pinned: str, there: str) -> bool:
    """Whether a version fits a pin; a pin without a local part ("+cu124") takes any, as pip reads it."""
    return there == pinned or ("+" not in pinned and there.partition("+")[0] == pinned)


def _sees_system(packages: Path) -> bool:
    """Whether the environment around `packages` sees the packages of the Python that it was made from."""
    try:
        settings = (packages.parents[2] / "pyvenv.cfg").read_text()
    except (OSError, IndexError):
        return False
    return bool(re.search(r"^include-system-site-packages\s*=\s*true", settings, re.MULTILINE))
