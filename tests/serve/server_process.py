"""A `python -m sightline_serve` of the test's own, on a free port of loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

# Some suites run in another environment than the server's.
PYTHON = os.environ.get("SIGHTLINE_ENGINE_PYTHON", sys.executable)
SERVE = Path(__file__).resolve().parents[2] / "serve"


def command(model: Path, *flags: str, module: tuple[str, ...] = ("sightline_serve",)) -> list[str]:
    return [PYTHON, "-m", *module, "--model", str(model), *flags]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{SERVE}{os.pathsep}{SERVE.parent}"}


class ServerProcess:
    def __init__(
        self, model: Path, *flags: str, log: Path, module: tuple[str, ...] = ("sightline_serve",)
    ) -> None:
        self.log = log
        self.key = "no-key"
        if "--api-key-file" in flags:
            self.key = Path(flags[flags.index("--api-key-file") + 1]).read_text().strip()
        self.model = "test-model"
        own = ("--served-model-name", self.model, "--port", "0", "--threads", "1")
        self.process = subprocess.Popen(
            command(model, *own, *flags, module=module), stderr=log.open("w"), env=environment()
        )
        self.port = self._port()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.base}/v1", api_key=self.key, max_retries=0, timeout=240, **options)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.get(self.base + path, headers=headers, timeout=240)

    def post(self, body: Any, **options: Any) -> httpx.Response:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        options.setdefault("headers", self.headers)
        return httpx.post(f"{self.base}/v1/chat/completions", timeout=240, **content, **options)

    def metric(self, name: str) -> float:
        page = self.get("/metrics", headers=self.headers).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def wait_ready(self, seconds: float = 240) -> None:
        self.wait_for(lambda: self.get("/ready").status_code == 200, seconds)

    def wait_for(self, holds: Any, seconds: float = 60) -> None:
        """Raises unless `holds()` turns true in time while the process lives."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain; the server's log:\n{self.log.read_text()}")
            time.sleep(0.05)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _port(self) -> int:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log.read_text()):
                return int(found.group(1))
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
