"""The distribution's Caddy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def caddys_folder(folder: Path) -> Path:
    """Where the program lies: on this machine, or unpacked into `folder` from the distribution's package, of
    which nothing is installed. Where there is neither the test is not run.
    """
    if found := shutil.which("caddy"):
        return Path(found).parent
    if not (_downloaded(folder) or (os.geteuid() == 0 and _ran("apt-get", "update") and _downloaded(folder))):
        pytest.skip("there is no Caddy here, and apt-get brings none")
    (package,) = folder.glob("caddy_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "caddy")], check=True)
    return folder / "caddy/usr/bin"


def _downloaded(folder: Path) -> bool:
    return _ran("apt-get", "download", "caddy", folder=folder)


def _ran(*command: str, folder: Path | None = None) -> bool:
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=300, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0
