"""What runs of the service: under which manager, and from which definition."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from .reading import Facts
from .supervisor import Supervisor
from .systemd_unit import UNITS, Unit


def read_service(name: str, root: str, units: Path = UNITS) -> Facts:
    """State (running, outdated, stopped, absent), manager, the definition's fingerprint, and its release.

    Outdated is what runs since before its definition was written: a run was cut off between the two.
    """
    unit = Unit(name, units)
    if os.path.exists(unit.file):
        return {"state": unit.state(), "manager": "systemd", **_definition(unit.file)}
    supervisor = Supervisor(Path(root) / "supervisor")
    definition = supervisor.definition(name)
    if os.access(definition, os.R_OK):
        running = supervisor.state(name) == "RUNNING"
        state = "outdated" if supervisor.outdated(name) else "running" if running else "stopped"
        return {"state": state, "manager": "supervisor", **_definition(definition)}
    return {"state": "absent", "manager": None, "fingerprint": None, "release": None}


def _definition(file: Path) -> Facts:
    content = file.read_bytes()
    release = re.search(rb"SIGHTLINE_RELEASE=\"?([0-9a-f]+)", content)
    return {
        "fingerprint": hashlib.sha256(content).hexdigest(),
        "release": release[1].decode() if release else None,
    }
