"""A program kept running as a unit of systemd."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process_age import is_older

UNITS = Path("/etc/systemd/system")


class UnitProblem(Exception):
    """systemd did not take or start the unit; the message says why."""


@dataclass(frozen=True)
class Unit:
    """The unit `<name>.service`, as its file in `folder` says."""

    name: str
    folder: Path = UNITS

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.service"

    def present(self, definition: str, dry: bool = False) -> list[str]:
        """Have it run as `definition` says, now and at boot; returns what changed. Raises UnitProblem."""
        changes = []
        if not self.file.exists() or self.file.read_text() != definition:
            changes.append(f"wrote {self.file.name}")
            if not dry:
                self._write(definition)
        state = self.state()
        if not self._is_enabled():
            changes.append("enabled")
            if not dry:
                self._systemctl("enable", self.file.name)
        if state != "running" or f"wrote {self.file.name}" in changes:
            changes.append("started" if state == "stopped" else "restarted")
            if not dry:
                self._systemctl("daemon-reload")
                self._systemctl("restart", self.file.name)
        return changes

    def state(self) -> str:
        """running, stopped, or outdated: it runs by what its file said before."""
        names = ("ActiveState", "NeedDaemonReload", "MainPID")
        words = [word for name in names for word in ("-p", name)]
        asked = subprocess.run(["systemctl", "show", *words, self.file.name], capture_output=True, text=True)
        told = dict(line.split("=", 1) for line in asked.stdout.splitlines() if "=" in line)
        if told.get("ActiveState") != "active":
            return "stopped"
        stale = told.get("NeedDaemonReload") == "yes" or is_older(told.get("MainPID", ""), self.file)
        return "outdated" if stale else "running"

    def absent(self, dry: bool = False) -> list[str]:
        """Stop it and remove its file; returns what changed. Raises UnitProblem."""
        if not self.file.exists():
            return []
        if not dry:
            self._systemctl("disable", "--now", self.file.name)
            self.file.unlink()
            self._systemctl("daemon-reload")
            # Else systemd goes on listing a unit that failed once.
            subprocess.run(["systemctl", "reset-failed", self.file.name], capture_output=True)
        return [f"removed {self.file.name}"]

    def _write(self, definition: str) -> None:
        beside = self.file.with_name(f".{self.file.name}.new")
        beside.write_text(definition)
        beside.chmod(0o644)
        beside.replace(self.file)

    def _is_enabled(self) -> bool:
        asked = subprocess.run(["systemctl", "is-enabled", self.file.name], capture_output=True, text=True)
        return asked.stdout.strip() == "enabled"

    def _systemctl(self, *words: str) -> None:
        ended = subprocess.run(["systemctl", *words], capture_output=True, text=True)
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip()[:500]
            raise UnitProblem(
                f"systemctl {' '.join(words)} failed: {said}. See journalctl -u {self.file.name}"
            )
