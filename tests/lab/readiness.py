"""Waits until a host can be worked with."""

from __future__ import annotations

import subprocess
import time

from tests.lab.commands import last_words
from tests.lab.kinds import KINDS
from tests.lab.place import Place, Record
from tests.lab.problems import LabError


def ssh(place: Place, name: str, *command: str) -> list[str]:
    """The command line that reaches a host of the lab, and nothing else."""
    return ["ssh", "-F", str(place.ssh_config), name, *command]


def wait_until_ready(place: Place, record: Record, thorough: bool = False, patience: float = 60) -> None:
    """Until ssh lets its user in; `thorough`: until systemd says all started well. Raises LabError."""
    question = "systemctl is-system-running --wait" if thorough and KINDS[record.kind].boot else "true"
    deadline = time.monotonic() + patience
    while True:
        try:
            ended = subprocess.run(
                [*ssh(place, record.name, question)], capture_output=True, text=True, timeout=patience,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            said = ended.stdout.strip() or last_words(ended.stderr, 1)
            if ended.returncode == 0:
                return
        except subprocess.TimeoutExpired:
            said = "no answer"
        if not record.keeper.alive():
            raise LabError(f"{record.name} ended while starting; see {place.host(record.name)}/console.log")
        if time.monotonic() > deadline:
            raise LabError(f"{record.name} is not ready after {patience:.0f} s ({said})")
        time.sleep(0.1)
