"""What the tests of the host-side code share: environments built once, a package index, processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sightline_host.environment import Lock, build

from tests.stand_ins.package_index import PackageIndex

CHECKOUT = Path(__file__).resolve().parents[2]
PIP_VARIABLES = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CONSTRAINT", "PIP_CACHE_DIR")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageIndex:
    """An empty package index, and pip configured to ask no other."""
    made = PackageIndex(tmp_path / "index")
    for name in PIP_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", made.url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "1")
    return made


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python whose `-m venv PATH` copies an environment with the pinned pip: the same, but at once.

    With --without-pip, as on a Python that brings packages, it makes a real one: that takes no time.
    """
    folder = tmp_path_factory.mktemp("quick-python")
    _build(folder / "template", "pip")
    (folder / "template/.sightline.json").unlink()
    script = folder / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$1 $2 $3" != "-m venv --without-pip" ] || exec {sys.executable} "$@"\n'
        '[ "$1 $2" = "-m venv" ] && [ $# = 3 ] || { echo "asked for: $*" >&2; exit 9; }\n'
        f"exec cp -a '{folder}/template' \"$3\"\n"
    )
    script.chmod(0o755)
    return str(script)


@pytest.fixture(scope="session")
def supervisor_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the supervisord that the lock file names, built as on a host."""
    path = tmp_path_factory.mktemp("supervisor") / "env"
    _build(path, "pip", "supervisor")
    return path


def _build(path: Path, *names: str) -> None:
    locks = [Lock(name, (CHECKOUT / f"requirements/{name}.lock.txt").read_text()) for name in names]
    build(path, sys.executable, locks, lambda line: None, str(CHECKOUT / ".sightline/cache/pip"))


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """spawn(code, *arguments): a Python process that has printed its first line; ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        process.first_line = process.stdout.readline().strip()  # type: ignore[attr-defined]
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
