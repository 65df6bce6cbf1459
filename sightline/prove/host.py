"""The host checks: Testinfra's tests of tests/testinfra, run against the host of a deployment record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .errors import CouldNotTell

CHECKOUT: Final = Path(__file__).resolve().parents[2]
CHECKS: Final = CHECKOUT / "tests" / "testinfra"
_PYTEST_USAGE: Final = (2, 3, 4, 5)


@dataclass(frozen=True)
class HostCheck:
    """One check of a host's state; `outcome` "unreachable" means that the host could not be asked."""

    name: str
    title: str
    outcome: Literal["passed", "failed", "unreachable"]
    message: str = ""
    seconds: float = 0.0


def check_host(record: Path, timeout: float = 300.0) -> tuple[HostCheck, ...]:
    """Run all host checks of a deployment record. Raises CouldNotTell when they could not be run at all.

    They run in a pytest of their own, so that the sight check needs no pytest and the checks see no one's
    settings.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        results = Path(folder) / "results.json"
        command = [
            *(sys.executable, "-m", "pytest", str(CHECKS), "-q", "--no-header", "-p", "no:cacheprovider"),
            *(
                "-c",
                os.devnull,
                "--rootdir",
                str(CHECKS),
                # What tests/conftest.py sets up for this project's own tests is no user's business.
                "--confcutdir",
                str(CHECKS),
                "--deployment",
                str(record),
                "--results",
                str(results),
            ),
        ]
        environment = dict(os.environ, PYTHONPATH=str(CHECKOUT))
        # What was compiled is kept, out of the way: compiling pytest anew takes longer than the checks.
        environment["PYTHONPYCACHEPREFIX"] = str(CHECKOUT / ".sightline" / "pycache")
        for name in ("PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE"):
            environment.pop(name, None)
        try:
            done = subprocess.run(
                command,
                cwd=CHECKOUT,
                env=environment,
                timeout=timeout,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CouldNotTell(
                "host_checks",
                f"the host checks took longer than {timeout:g} s",
                "check the connection to the host",
            ) from None
        if done.returncode in _PYTEST_USAGE or not results.exists():
            tail = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise CouldNotTell(
                "host_checks",
                f"the host checks could not be run: {tail}",
                "run scripts/up to renew the environment",
            )
        return tuple(HostCheck(**entry) for entry in json.loads(results.read_text(encoding="utf-8")))
