"""LocalAI's stand-in with the canary, without Ansible: folders as the roles make them, and its process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sightline_host.localai import Wanted, install, sha256_of

from sightline.catalogue import load_model
from sightline.layout import CHECKOUT
from sightline.localai import model_files
from tests.localai.making import make_backend, make_binary

KEY = "sk-of-the-test"
WEIGHTS = CHECKOUT / "canary/weights"


@dataclass(frozen=True)
class Laid:
    """The folders of one deployment: LocalAI, its model file, the weights and where it may write."""

    base: Path
    weights: Path = field(default=WEIGHTS)

    @property
    def program(self) -> Path:
        return self.base / "localai"

    @property
    def models(self) -> Path:
        return self.base / "models"

    @property
    def work(self) -> Path:
        return self.base / "work"

    def words(self, port: int) -> list[str]:
        """Those of sightline-localai."""
        found = [
            "--program",
            self.program,
            "--models",
            self.models,
            "--model",
            self.weights,
            "--work",
            self.work,
        ]
        found += ["--served-model-name", "canary", "--api-key-file", self.base / "key", "--port", port]
        return [str(word) for word in found]


def lay(base: Path, python: Path | str) -> Laid:
    """As the roles do it: LocalAI and its backend installed, the canary's model file written, a key."""
    laid = Laid(base)
    base.mkdir(parents=True, exist_ok=True)
    binary, archive = make_binary(base / "fetched", python), make_backend(base / "llama-cpp.tar", python)
    sums = sha256_of(binary), sha256_of(archive)
    install(Wanted(laid.program, "v4.9.0", str(binary), sums[0], str(archive), sums[1]), lambda line: None)
    laid.models.mkdir()
    for name, text in model_files(load_model("canary"), "canary", {"threads": 1}, 1024).items():
        (laid.models / name).write_text(text)
    (base / "key").write_text(f"me {KEY}\n")
    return laid


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, environment: dict[str, str], log: Path
) -> Iterator[httpx.Client]:
    """Start `command`, wait for /readyz, and end it by its pid, and what it started with it."""
    process = subprocess.Popen(
        command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            deadline = time.monotonic() + 60
            while not _ready(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def started(laid: Laid) -> tuple[list[str], int, dict[str, str]]:
    """Command, port and environment as this kit starts it."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "serve")}
    return [sys.executable, "-m", "sightline_localai", *laid.words(port)], port, environment


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
