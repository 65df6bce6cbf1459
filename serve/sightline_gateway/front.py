"""Caddy before the proxy, for TLS. It ends with this process, and alone it is started again."""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline_start.errors import StartError

log = logging.getLogger(__name__)

CADDY = "caddy"
SETTLES = 1.0
"""Seconds in which a Caddy that cannot listen has ended."""

AGAIN = 2.0
PR_SET_PDEATHSIG = 1


@contextmanager
def front(caddyfile: Path, program: str = CADDY) -> Iterator[None]:
    """Caddy with `caddyfile` until the context ends. Raises StartError when it does not start."""
    process = _start(caddyfile, program)
    try:
        process.wait(SETTLES)
    except subprocess.TimeoutExpired:
        pass
    else:
        raise StartError(f"Caddy does not run with {caddyfile} (exit code {process.returncode}): see above.")
    keeper = _Keeper(process, caddyfile, program)
    keeper.start()
    try:
        yield
    finally:
        keeper.end()


class _Keeper(threading.Thread):
    def __init__(self, process: subprocess.Popen[bytes], caddyfile: Path, program: str) -> None:
        super().__init__(daemon=True)
        self.process, self.caddyfile, self.program = process, caddyfile, program
        self.ending = threading.Event()

    def run(self) -> None:
        while True:
            code = self.process.wait()
            if self.ending.wait(AGAIN):
                return
            log.error("Caddy ended (exit code %s); it is started again", code)
            try:
                self.process = _start(self.caddyfile, self.program)
            except StartError as problem:
                log.error("%s", problem)

    def end(self) -> None:
        self.ending.set()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _start(caddyfile: Path, program: str) -> subprocess.Popen[bytes]:
    words = [program, "run", "--adapter", "caddyfile", "--config", str(caddyfile)]
    try:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)
    except OSError as problem:
        raise StartError(
            f"{program} cannot be run ({problem.strerror}): install the package caddy."
        ) from None


def _end_with_parent() -> None:
    """Its port must be free again, also when this process is killed. Source: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
