"""A real sightline-serve with the real canary, for the tests that need an endpoint that really sees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

CHECKOUT = Path(__file__).resolve().parents[2]
WEIGHTS = Path(os.environ.get("SIGHTLINE_CANARY_DIR", CHECKOUT / "canary" / "weights"))
PYTHON = os.environ.get("SIGHTLINE_ENGINE_PYTHON", sys.executable)


@dataclass(frozen=True)
class Canary:
    """Where the canary answers."""

    base_url: str
    key_file: Path

    @property
    def key(self) -> str:
        """The server's key."""
        return self.key_file.read_text().strip()


@contextmanager
def running_canary(folder: Path, seconds: float = 300, weights: Path = WEIGHTS) -> Iterator[Canary]:
    """Start the server and stop it by its pid; its log lies in `folder`. Raises AssertionError when it
    does not start. `weights` are those of another model, which is called canary too.
    """
    key_file, log = folder / "key", folder / "server.log"
    key_file.write_text("sk-canary-test-3b7e\n")
    key_file.chmod(0o600)
    command = [
        *(PYTHON, "-m", "sightline_serve", "--model", str(weights), "--served-model-name", "canary"),
        *("--host", "127.0.0.1", "--port", "0", "--api-key-file", str(key_file), "--threads", "1"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "serve")}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + seconds
        base = ""
        while not (base and _ready(base)):
            said = log.read_text()
            assert process.poll() is None, f"the server ended by itself:\n{said}"
            assert time.monotonic() < deadline, f"the server is not ready after {seconds:g} s:\n{said}"
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", said)
            base = found[1] if found else ""
            time.sleep(0.1)
        yield Canary(f"{base}/v1", key_file)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
