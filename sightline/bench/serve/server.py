"""One server under measurement: started, waited for, weighed, and ended with all of its processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from sightline.bench.errors import BenchError
from sightline.bench.serve.peers import Peer
from sightline.bench.serve.subjects import Subject

START_LIMIT = 300.0
"""Seconds that a server has until it answers its first picture."""
ASK_AGAIN = 0.25
FIRST_NUMBER = 1_000_000
"""Far above the numbers of the measured requests: no picture is asked about twice."""


class Server:
    def __init__(self, peer: Peer, environment: Path, subject: Subject, clients: int, log: Path) -> None:
        """Starts it. Raises BenchError when it cannot be started."""
        self.peer, self.subject, self.log = peer, subject, log
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]
        self.began = time.monotonic()
        try:
            self.process = subprocess.Popen(
                peer.command(environment, subject, self.port, clients), env=peer.environ(), cwd=log.parent,
                stdin=subprocess.DEVNULL, stdout=log.open("w"), stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            raise BenchError(f"{peer.name} cannot be started: {problem.strerror}") from problem
        self.start_seconds = 0.0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_it_answers(self) -> None:
        """Until the first picture is answered; `start_seconds` is how long it took. Raises BenchError."""
        body, _ = self.subject.request(FIRST_NUMBER, 8)
        with httpx.Client(
            base_url=self.base, headers=self.peer.headers, timeout=START_LIMIT, trust_env=False
        ) as client:
            while True:
                with suppress(httpx.TransportError):
                    answer = client.post("/v1/chat/completions", json={**body, "stream": False})
                    if answer.status_code == 200:
                        break
                    if 400 <= answer.status_code < 500 and answer.status_code not in (404, 429):
                        raise BenchError(f"{self.peer.name} refused its first request: {answer.text[:300]}")
                if self.process.poll() is not None or time.monotonic() - self.began > START_LIMIT:
                    raise BenchError(f"{self.peer.name} did not start:\n{self._last_words()}")
                time.sleep(ASK_AGAIN)
        self.start_seconds = time.monotonic() - self.began

    def memory(self) -> int:
        """Bytes that its processes hold now, a shared page divided among those that map it (PSS)."""
        total = 0
        for process in self._family():
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total

    def end(self) -> None:
        """Ends it and whatever it started."""
        family = self._family()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
