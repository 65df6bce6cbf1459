"""A Python that uv brings: built to run anywhere, in a folder of its own, the system's left alone."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .environment import Lock, build
from .pip_output import Say, tail

Facts = dict[str, object]

_ANSWER_SECONDS = 15
_UV_SECONDS = 1800


class PythonProblem(Exception):
    """The Python could not be brought; the message says what failed, why and what to do."""


@dataclass(frozen=True)
class ManagedPython:
    """What is wanted. `python`: its interpreter once it is there; `version`: "3.12.16", or "3.12" of a list.

    `folder`: where uv puts Pythons; `mirror` and `listed`: addresses for uv, "" for its own.
    """

    python: Path
    version: str
    folder: Path
    mirror: str = ""
    listed: str = ""

    @property
    def there(self) -> bool:
        """Whether it is there and runs."""
        try:
            asked = subprocess.run([str(self.python), "-c", "import ensurepip, venv"], capture_output=True)
        except OSError:
            return False
        return asked.returncode == 0


def bring(wanted: ManagedPython, helper: str, locks: Sequence[Lock], say: Say, cache: str | None) -> bool:
    """Have uv bring the Python, unless it is there; True when it was brought.

    uv is installed from `locks` by the interpreter `helper`, and goes again. Raises PythonProblem and
    EnvironmentProblem; of a failure nothing stays but what uv keeps for the next try.
    """
    if wanted.there:
        return False
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".uv-", dir=wanted.folder) as scratch:
        environment = Path(scratch) / "env"
        build(environment, helper, locks, say, cache)
        say(f"uv brings Python {wanted.version}")
        _install(environment / "bin/uv", wanted, scratch)
    if not wanted.there:
        raise PythonProblem(
            f"uv says that it installed Python {wanted.version}, but {wanted.python} does not run: "
            "the build may be for another machine; look at what the mirror or the list gave"
        )
    return True


def _install(uv: Path, wanted: ManagedPython, scratch: str) -> None:
    command = [str(uv), "python", "install", "--no-config", "--no-bin", "--no-cache", "--no-progress"]
    command += ["--install-dir", str(wanted.folder), f"cpython-{wanted.version}"]
    environment = {**os.environ, "TMPDIR": scratch, "HOME": scratch}
    environment.pop("UV_PYTHON_DOWNLOADS", None)
    for name, value in (
        ("UV_PYTHON_INSTALL_MIRROR", wanted.mirror),
        ("UV_PYTHON_DOWNLOADS_JSON_URL", wanted.listed),
    ):
        if value:
            environment[name] = value
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_UV_SECONDS)
    except subprocess.TimeoutExpired:
        raise PythonProblem(
            f"uv has not brought Python {wanted.version} within {_UV_SECONDS // 60} minutes: the source is "
            "too slow; name a nearer mirror (sightline_python_mirror)"
        ) from None
    if ended.returncode != 0:
        raise PythonProblem(_explained(wanted, ended.stdout + ended.stderr))


def _explained(wanted: ManagedPython, output: str) -> str:
    """Say in words why uv failed: what, why, and what to do."""
    what = f"uv cannot bring Python {wanted.version}"
    place = re.search(r"(?:https?|file)://[^\s`)]+", output)
    where = place[0] if place else wanted.mirror or "its source"
    if "Hash mismatch" in output:
        return (
            f"{what}: the file of {wanted.mirror or 'its source'} is not the one that uv knows, and was not "
            "installed. Mend the mirror, or name another (sightline_python_mirror)"
        )
    if "No space left on device" in output:
        return f"{what}: the disk is full; free some space and run this again"
    if re.search(r"No download found|No interpreter found|not available for download", output):
        return f"{what}: {wanted.listed or 'this uv'} lists no such build for this machine"
    if re.search(r"dns error|Connect|timed out|status code|HTTP status|failed to query metadata", output):
        return (
            f"{what}: {where} does not give it ({_cause(output)}). Check network and proxy variables, or "
            "name a mirror that this host reaches (sightline_python_mirror), or a Python (sightline_pythons)"
        )
    return f"{what}: {tail(output)}"


def _cause(output: str) -> str:
    """uv's innermost cause: it prints a chain of them."""
    causes = [line.partition("cause:")[2].strip() for line in output.splitlines() if "cause:" in line]
    return causes[-1] if causes else tail(output)


def first_answer(addresses: Sequence[str]) -> Facts:
    """Whether one of `addresses` has something: {"reachable": bool, "detail": why the last has not, or None}.

    Nothing is fetched. A server that does not take HEAD is asked for the first byte.
    """
    detail = "there is no address to ask"
    for address in addresses:
        why = _no_answer(address)
        if why is None:
            return {"reachable": True, "detail": None}
        detail = f"{address}: {why}"
    return {"reachable": False, "detail": detail}


def _no_answer(address: str) -> str | None:
    for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
        try:
            request = urllib.request.Request(address, method=method, headers=headers)
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
                return None
        except urllib.error.HTTPError as refused:
            said = f"HTTP status {refused.code}"
        except (OSError, ValueError) as problem:
            return str(getattr(problem, "reason", problem))
    return said
