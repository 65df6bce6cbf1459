"""Stands for a deployed host: a service on a loopback port, an environment, a key, a model, a supervisor.

Everything is real except supervisord, which is a script that answers `status` and `pid` and refuses
anything else; the
"service" is this test process.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from .serving import served

SUPERVISORCTL = """\
#!{python}
import sys
assert sys.argv[1] == "-c", sys.argv
action, name = sys.argv[3:]
assert name == "sightline-vlm", name
print({{"status": {status!r}, "pid": {pid!r}}}[action])
"""


@dataclass
class StandInHost:
    """A healthy host under `folder`; tests break one thing and look which check notices."""

    folder: Path
    bind: str = "127.0.0.1"
    key: str = "sk-host-51c2"
    statuses: dict[str, int] = field(default_factory=lambda: {"/health": 200, "/ready": 200})
    asks_for_key: bool = True
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def record_path(self) -> Path:
        """The deployment record."""
        return self.folder / "record.json"

    @property
    def lock(self) -> Path:
        """The environment's lock file."""
        return self.folder / "engine.lock.txt"

    @property
    def key_path(self) -> Path:
        """The API key."""
        return self.folder / "api_key"

    @property
    def program(self) -> Path:
        """The supervisor's configuration of the service."""
        return self.folder / "sightline-vlm.conf"

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.folder / "model"

    @property
    def packages(self) -> Path:
        """The environment's folder of packages."""
        return next((self.folder / "env" / "lib").glob("python*/site-packages"))

    def look_into(self, other: Path) -> None:
        """Let the environment also see another folder of packages."""
        (self.packages / "other.pth").write_text(f"{other}\n")

    def install(self, name: str, version: str, folder: Path | None = None) -> None:
        """Put a distribution's metadata into the environment, or into another folder of packages."""
        info = (folder or self.packages) / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def supervise(
        self, status: str = "sightline-vlm   RUNNING   pid 1, uptime 0:00:09", pid: str | None = None
    ) -> None:
        """Let the supervisor say this."""
        script = self.folder / "supervisorctl"
        script.write_text(
            SUPERVISORCTL.format(python=sys.executable, status=status, pid=pid or str(os.getpid()))
        )
        script.chmod(0o755)

    def write_record(self, **changes: Any) -> None:
        """Write the record; `service__port=1` changes service.port."""
        for path, value in changes.items():
            *parents, last = path.split("__")
            place = self.record
            for parent in parents:
                place = place[parent]
            place[last] = value
        self.record_path.write_text(json.dumps(self.record))

    @contextmanager
    def running(self) -> Iterator[StandInHost]:
        """The host, healthy, until the block ends."""
        venv.create(self.folder / "env", symlinks=True)
        self.install("demo_engine", "2.1.0")
        self.lock.write_text("# made by hand\ndemo-engine==2.1.0 \\\n    --hash=sha256:00\n")
        self.key_path.write_text(self.key + "\n")
        self.key_path.chmod(0o600)
        self.program.write_text(
            "[program:sightline-vlm]\ncommand=/bin/true\nautostart=true\nautorestart=true\n"
        )
        self.program.chmod(0o644)
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        self.supervise()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        with served(handler, self.bind) as address:
            self.record = self._healthy_record(int(address.rpartition(":")[2]))
            self.write_record()
            yield self

    def _healthy_record(self, port: int) -> dict[str, Any]:
        return {
            "schema": 1,
            "host": "stand-in",
            "connection": {"type": "local"},
            "base_url": f"http://127.0.0.1:{port}/v1",
            "model": "stand-in",
            "api_key_file": str(self.key_path),
            "engine": "sightline-serve",
            "release": {"name": "cpu", "id": "0123456789ab"},
            "root": str(self.folder),
            "init": "supervised",
            "service": {
                "name": "sightline-vlm",
                "user": getpass.getuser(),
                "bind": "127.0.0.1",
                "port": port,
                "unit": None,
                "supervisor_conf": str(self.program),
                "supervisorctl": [str(self.folder / "supervisorctl"), "-c", "supervisord.conf"],
            },
            "environment": {
                "path": str(self.folder / "env"),
                "lock_files": [str(self.lock)],
                "lock_sha256": None,
            },
            "model_dir": str(self.model),
            "api_key_path": str(self.key_path),
            "deployed_at": "2026-01-01T00:00:00+00:00",
        }


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandInHost

    def do_GET(self) -> None:
        host = self.stand_in
        if self.path == "/v1/models":
            entered = self.headers.get("Authorization") == f"Bearer {host.key}"
            self._answer(200 if entered or not host.asks_for_key else 401)
        else:
            self._answer(host.statuses.get(self.path, 404))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""
