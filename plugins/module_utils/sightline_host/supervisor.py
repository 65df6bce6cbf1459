"""Programs kept running by supervisord, where PID 1 is not systemd.

One supervisord per root folder, in an environment of its own under `supervisor/env`; a program is a file in
`supervisor/conf.d`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

from .boot import start_script
from .process_age import is_older

LONGEST_SOCKET_PATH = 100
"""Linux takes 107 bytes for a Unix socket's path; supervisord adds a pid to it while it starts."""


class SupervisorProblem(Exception):
    """supervisord or a program of it could not be started; the message says which and where the log lies."""


class Supervisor:
    """supervisord under `folder` (`<root>/supervisor`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_folder = folder.parent / "log"
        self.config = folder / "supervisord.conf"
        self.starter = folder / "start"

    @property
    def socket(self) -> Path:
        usual = self.folder / "supervisor.sock"
        if len(str(usual)) <= LONGEST_SOCKET_PATH:
            return usual
        short = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return Path("/tmp") / f"sightline-{os.getuid()}-{short}.sock"

    def definition(self, name: str) -> Path:
        return self.folder / "conf.d" / f"{name}.conf"

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / "env/bin/supervisorctl"), "-c", str(self.config), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True)
        except OSError as problem:
            # Its environment was never built, or not to the end: nobody is there to answer.
            return subprocess.CompletedProcess(command, 127, "", str(problem))

    def state(self, name: str) -> str | None:
        """RUNNING, STARTING, BACKOFF, FATAL, STOPPED ...; None when unknown or supervisord is down."""
        return self._status(name)[0]

    def outdated(self, name: str) -> bool:
        """Whether it runs by what its definition said before."""
        state, pid = self._status(name)
        return state == "RUNNING" and is_older(pid, self.definition(name))

    def _status(self, name: str) -> tuple[str | None, str]:
        """The state, and the process's number where there is one ("" else)."""
        if not self.config.exists():
            return None, ""
        words = self.control("status", name).stdout.split()
        if len(words) < 2 or words[0] != name or not words[1].isupper():
            return None, ""
        return words[1], words[3].rstrip(",") if words[2:3] == ["pid"] else ""

    def alive(self) -> bool:
        return self.config.exists() and self.control("pid").returncode == 0

    def config_text(self) -> str:
        """The daemon's configuration. "%" starts an expansion in supervisord's files, hence doubled."""
        folder, log = (str(path).replace("%", "%%") for path in (self.folder, self.log_folder))
        socket = str(self.socket).replace("%", "%%")
        return (
            "; Written by Sightline (role service).\n"
            f"[unix_http_server]\nfile={socket}\nchmod=0700\n\n"
            f"[supervisord]\nlogfile={log}/supervisord.log\nlogfile_maxbytes=5MB\nlogfile_backups=1\n"
            f"pidfile={folder}/supervisord.pid\nchildlogdir={log}\ndirectory={folder}\n\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{socket}\n\n"
            "[include]\nfiles=conf.d/*.conf\n"
        )

    def present(self, name: str, definition: str, dry: bool = False) -> list[str]:
        """Have `name` run as `definition` says; returns what was changed. Raises SupervisorProblem."""
        changes = []
        wanted = (
            (self.config, self.config_text(), 0o644),
            (self.starter, start_script(self.folder), 0o755),
            (self.definition(name), definition, 0o644),
        )
        for file, text, mode in wanted:
            if not file.exists() or file.read_text() != text:
                changes.append(f"wrote {file.name}")
                if not dry:
                    _write(file, text, mode)
        if dry:
            if self.outdated(name):
                return [*changes, "restart"]
            return changes if changes or self.state(name) == "RUNNING" else ["start"]
        if not self.alive():
            self._start()
            changes.append("started supervisord")
        # Compares what supervisord has in memory with the files, so an interrupted run is made good here.
        updated = self.control("update")
        if updated.returncode != 0:
            said = (updated.stdout + updated.stderr).strip()
            raise SupervisorProblem(f"supervisord does not take the definition of {name}: {said[:500]}")
        if updated.stdout.strip():
            changes.append("updated")
        elif self.outdated(name):
            self.control("restart", name)
            changes.append("restarted")
        if self.state(name) not in ("RUNNING", "STARTING"):
            self.control("start", name)
            changes.append("started")
        self._wait_running(name)
        return changes

    def absent(self, name: str, dry: bool = False) -> list[str]:
        """Stop `name` and remove its definition; the daemon goes with its last program."""
        changes = []
        definition = self.definition(name)
        if definition.exists():
            changes.append(f"removed {definition.name}")
            if not dry:
                if self.alive():
                    self.control("stop", name)
                definition.unlink()
                if self.alive():
                    self.control("update")
        if not self.others(name) and self.alive():
            changes.append("stopped supervisord")
            if not dry:
                self._stop()
        return changes

    def others(self, name: str) -> list[Path]:
        """Definitions of programs beside `name`."""
        return [file for file in self.definition(name).parent.glob("*.conf") if file.stem != name]

    def _start(self) -> None:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        # The script that also starts it at boot: after a restart both may be at it at the same moment.
        try:
            started = subprocess.run(
                [str(self.starter)], capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
        except OSError as problem:
            raise SupervisorProblem(f"supervisord did not start: {problem}") from problem
        deadline = time.monotonic() + 10
        while not self.alive():
            if started.returncode != 0 or time.monotonic() > deadline:
                said = (started.stderr or started.stdout).strip().splitlines()
                told = [line for line in said if not line.startswith("For help")]
                raise SupervisorProblem(
                    f"supervisord did not start: {' '.join(told[-2:])} "
                    f"(log: {self.log_folder}/supervisord.log)"
                )
            time.sleep(0.1)

    def _stop(self) -> None:
        pid = int(self.control("pid").stdout)
        self.control("shutdown")
        deadline = time.monotonic() + 120
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        if Path(f"/proc/{pid}").exists():
            raise SupervisorProblem(
                f"supervisord (pid {pid}) is still there two minutes after it was told to stop"
            )

    def _wait_running(self, name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while (state := self.state(name)) != "RUNNING":
            if state in ("FATAL", "EXITED") or time.monotonic() > deadline:
                log = self.log_folder / f"{name}.log"
                raise SupervisorProblem(
                    f"{name} does not keep running ({state}); its log: {log}\n{last_lines(log)}"
                )
            time.sleep(0.2)


def last_lines(log: Path, count: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""


def _write(file: Path, text: str, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".new")
    beside.write_text(text)
    beside.chmod(mode)
    beside.replace(file)
