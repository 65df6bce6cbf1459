"""Programs with their logs, started again under the same address, and what is waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.prove.canary_server import CHECKOUT


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def gateway_python() -> str:
    """The Python that has LiteLLM."""
    python = os.environ.get("SIGHTLINE_GATEWAY_PYTHON", "")
    if not Path(python).is_file():
        pytest.fail("SIGHTLINE_GATEWAY_PYTHON names no Python: `scripts/test slow` builds it")
    return python


class Program:
    """A command that runs this checkout's `serve`; `first` is a folder that PATH begins with."""

    def __init__(self, command: list[str], log: Path, first: Path | None = None) -> None:
        self.command, self.log, self.first = command, log, first
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "serve")}
        if self.first:
            environment["PATH"] = f"{self.first}:{environment['PATH']}"
        with self.log.open("a") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, env=environment)

    def kill(self, how: int = signal.SIGKILL) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)


def until(holds: Callable[[], bool], seconds: float, program: Program) -> None:
    """Wait, while `program` runs; what cannot be reached yet does not hold."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        said = program.log.read_text()
        assert program.process is not None
        assert program.process.poll() is None, f"it has ended:\n{said}"
        assert time.monotonic() < deadline, f"not within {seconds:g} s:\n{said[-3000:]}"
        time.sleep(0.1)
