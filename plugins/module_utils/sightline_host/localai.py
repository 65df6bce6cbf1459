"""LocalAI on a host: its binary or image and one backend, in a folder that appears whole or not at all.

The backend is installed by LocalAI itself: `local-ai backends install ADDRESS NAME ALIAS` (v4.9.0,
core/cli/backends.go, read, not run here). Its archive is an OCI image, with run.sh at the top of its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = "program.json"
ALIAS = "llama-cpp"
ENGINES = ("docker", "podman")
PATIENCE = 3600
"""Seconds for the backend's installation: some hundred megabytes, over gigabytes for CUDA."""
Say = Callable[[str], None]


class LocalAIProblem(Exception):
    """What could not be installed, why, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """`binary`: an https address, or a file on this host; "" where `image` is run. `backend`: an oci://
    address, or an archive on this host. Only an oci:// address may go without a sha256."""

    path: Path
    version: str
    binary: str
    binary_sha256: str
    backend: str
    backend_sha256: str
    image: str = ""

    @property
    def backend_name(self) -> str:
        """The folder's name for the backend, from the address or the archive's name."""
        last = self.backend.partition("@")[0].rpartition("/")[2]
        tag = last.rpartition(":")[2] if "://" in self.backend else last.removesuffix(".tar")
        return tag.removeprefix(f"{self.version}-") or ALIAS


def is_there(path: Path) -> bool:
    """Whether `install` ended there."""
    return (path / DESCRIPTION).is_file()


def installed(base: Path) -> list[str]:
    """The folders under `base` that hold a LocalAI that is whole."""
    if not os.access(base, os.R_OK | os.X_OK):
        return []
    return sorted(str(path) for path in base.iterdir() if not path.name.startswith(".") and is_there(path))


def install(wanted: Wanted, say: Say) -> None:
    """Put LocalAI and its backend at `wanted.path`. Raises LocalAIProblem; then nothing is left there."""
    beside = wanted.path.with_name(f".{wanted.path.name}.{os.getpid()}.new")
    try:
        (beside / "backends").mkdir(parents=True)
        if wanted.image:
            command = _in_container(beside, wanted)
        else:
            say(f"binary: {wanted.binary}")
            command = [str(_binary(wanted, beside / "bin/local-ai"))]
        say(f"backend: {wanted.backend}")
        _backend(wanted, command, beside)
        _let_all_read(beside)
        told = {"version": wanted.version, "image": wanted.image, "backend": wanted.backend_name}
        sums = {"binary_sha256": wanted.binary_sha256, "backend_sha256": wanted.backend_sha256}
        (beside / DESCRIPTION).write_text(json.dumps({**told, **sums}, indent=1) + "\n")
        shutil.rmtree(wanted.path, ignore_errors=True)
        beside.rename(wanted.path)
    except OSError as problem:
        raise LocalAIProblem(f"{wanted.path} could not be written: {problem}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _binary(wanted: Wanted, to: Path) -> Path:
    to.parent.mkdir()
    _bring(wanted.binary, to)
    found = sha256_of(to)
    if found != wanted.binary_sha256:
        raise LocalAIProblem(
            f"{wanted.binary} has the sha256 {found}, not {wanted.binary_sha256}: it was not kept. "
            "Fetch it anew, or correct the sum if it is of another version"
        )
    to.chmod(0o755)
    return to


def _bring(source: str, to: Path) -> None:
    try:
        if "://" not in source:
            shutil.copyfile(source, to)
            return
        with urllib.request.urlopen(source, timeout=60) as answer, to.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    except (urllib.error.URLError, TimeoutError) as problem:
        reason = getattr(problem, "reason", problem)
        raise LocalAIProblem(
            f"{source} cannot be had ({reason}). Put the file on the controller and name it in "
            "sightline_localai_binary"
        ) from None
    except OSError as problem:
        raise LocalAIProblem(f"{source} cannot be copied to {to}: {problem.strerror or problem}") from None


def _in_container(beside: Path, wanted: Wanted) -> list[str]:
    engine = next((found for found in map(shutil.which, ENGINES) if found), None)
    if engine is None:
        raise LocalAIProblem(
            f"there is no {' or '.join(ENGINES)} on this host. Install one, or set sightline_localai_as "
            "to binary"
        )
    folders = [beside / "backends", *([Path(wanted.backend)] if "://" not in wanted.backend else [])]
    volumes = [word for folder in folders for word in ("--volume", f"{folder}:{folder}")]
    variables = [word for name in _variables(beside) for word in ("--env", name)]
    return [engine, "run", "--rm", "--network", "host", *variables, *volumes, wanted.image]


def _variables(beside: Path) -> dict[str, str]:
    return {
        "LOCALAI_BACKENDS_PATH": str(beside / "backends"),
        "LOCALAI_BACKENDS_SYSTEM_PATH": str(beside / "none"),
        "LOCALAI_AUTOLOAD_BACKEND_GALLERIES": "false",
    }


def _backend(wanted: Wanted, command: Sequence[str], beside: Path) -> None:
    address = wanted.backend
    if "://" not in address:
        found = sha256_of(Path(address))
        if found != wanted.backend_sha256:
            raise LocalAIProblem(
                f"{address} has the sha256 {found}, not {wanted.backend_sha256}: send it again"
            )
        address = f"ocifile://{address}"
    words = [*command, "backends", "install", address, wanted.backend_name, ALIAS]
    try:
        ended = subprocess.run(
            words, cwd=beside, env={**os.environ, **_variables(beside), "HOME": str(beside)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LocalAIProblem(f"{address} was not installed after {PATIENCE // 60} minutes") from None
    except OSError as problem:
        raise LocalAIProblem(
            f"{words[0]} cannot be run on this host ({platform.machine()}): {problem.strerror}"
        ) from None
    run = beside / "backends" / wanted.backend_name / "run.sh"
    if ended.returncode or not run.is_file():
        last = " / ".join(ended.stdout.strip().splitlines()[-4:]) or "it said nothing"
        missing = "" if ended.returncode else f", and {run.parent.name}/run.sh is not there"
        raise LocalAIProblem(
            f"LocalAI did not install its backend {address} (exit code {ended.returncode}{missing}): {last}"
        )


def _let_all_read(folder: Path) -> None:
    """The service may run as another user, and LocalAI keeps its backends to its own."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o777
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


def sha256_of(file: Path) -> str:
    """Raises OSError."""
    summed = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            summed.update(piece)
    return summed.hexdigest()
