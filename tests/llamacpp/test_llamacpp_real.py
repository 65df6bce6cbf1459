"""sightline-llamacpp with a real llama.cpp and the canary's GGUF pair."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.serve.drawing import ask, data_url, disc, encoded

CHECKOUT = Path(__file__).resolve().parents[2]
QUESTION = "What colour is the shape? Answer with one word."

pytestmark = pytest.mark.slow


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    client: httpx.Client


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    python = os.environ.get("SIGHTLINE_LLAMA_PYTHON", "")
    if not Path(python).is_file():
        pytest.fail(
            "SIGHTLINE_LLAMA_PYTHON names no Python: run this by `scripts/test slow`, which builds it"
        )
    key = tmp_path / "key"
    key.write_text("me sk-of-the-test\n")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    words = ["--model", str(CHECKOUT / "canary/weights"), "--served-model-name", "canary"]
    words += ["--port", str(port), "--api-key-file", str(key), "--max-model-len", "1024", "--threads", "1"]
    log = tmp_path / "log"
    process = subprocess.Popen(
        [python, "-m", "sightline_llamacpp", *words], stdout=log.open("w"), stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "serve")},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "ready on" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        headers = {"Authorization": "Bearer sk-of-the-test"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield Running(process, client)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_it_sees_asks_for_the_key_and_ends_when_told(running: Running) -> None:
    for colour in ("red", "blue", "green"):
        body = {**ask(QUESTION, data_url(encoded(disc(colour)))), "model": "canary", "temperature": 0}
        answer = running.client.post("/v1/chat/completions", json=body)
        assert answer.json()["choices"][0]["message"]["content"] == colour
    listed = running.client.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["canary"]
    assert running.client.get("/health", headers={"Authorization": ""}).status_code == 200
    for path in ("/v1/models", "/metrics", "/slots", "/props"):
        assert running.client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
