"""Start and end of the real process: ready when it has seen, drained when told to go."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.serve.drawing import ask, data_url
from tests.serve.server_process import ServerProcess, command, environment

Start = Callable[..., ServerProcess]


def test_it_listens_before_it_is_ready_and_says_why_not(start: Start, tiny: Path) -> None:
    server = start(tiny, wait=False)
    seen: dict[str, int] = {}
    chat_before: httpx.Response | None = None

    def ready() -> bool:
        nonlocal chat_before
        assert server.get("/health").status_code == 200
        answer = server.get("/ready")
        seen[answer.json()["status"]] = answer.status_code
        if answer.status_code == 503 and chat_before is None:
            chat_before = server.post(ask("x"))
        return answer.status_code == 200

    server.wait_for(ready, 240)
    assert seen["loading the model"] == 503
    assert seen["ready"] == 200
    assert chat_before is not None
    assert chat_before.status_code == 503
    assert chat_before.json()["error"]["code"] == "not_ready"
    assert "retry-after" in chat_before.headers
    log = server.log.read_text()
    assert re.search(r"loading the model.*loaded in [\d.]+ s.*warming up.*ready in [\d.]+ s", log, re.DOTALL)
    with httpx.Client(timeout=240) as client:
        client.get(f"{server.base}/health")  # a connection that stays open and idle holds nothing up
        server.terminate()
        assert server.exit_code() == 0


def test_sigterm_lets_a_running_answer_finish_and_takes_no_new_ones(start: Start, tiny: Path) -> None:
    server = start(tiny)
    with httpx.stream(
        "POST",
        f"{server.base}/v1/chat/completions",
        json=ask("x", data_url(), stream=True, max_tokens=400),
        timeout=240,
    ) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.terminate()
        time.sleep(0.3)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.base}/health", timeout=2)
        rest = list(lines)
    assert "data: [DONE]" in rest
    assert any('"finish_reason": "length"' in line for line in rest)
    assert server.exit_code() == 0
    assert "drained" in server.log.read_text()


def test_a_full_queue_refuses_and_a_drain_has_an_end(start: Start, tiny: Path) -> None:
    server = start(tiny, "--max-num-seqs", "1", "--max-queue", "1", "--drain-timeout", "0.2")
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(server.post, ask("a long answer"))]
        server.wait_for(lambda: server.metric("sightline_running_requests") == 1)
        held.append(pool.submit(server.post, ask("a long answer")))
        server.wait_for(lambda: server.metric("sightline_waiting_requests") == 1)
        refused = server.post(ask("x", max_tokens=1))
        server.terminate()
        assert server.exit_code() == 0
        cut = held[1].result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) > 0
    assert (cut.status_code, cut.json()["error"]["code"]) == (503, "draining")


def test_sigterm_while_it_loads_is_exit_0(start: Start, tiny: Path) -> None:
    server = start(tiny, wait=False)
    server.terminate()
    assert server.exit_code() == 0
    assert "Traceback" not in server.log.read_text()


def failing(*flags: str, model: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(model, "--threads", "1", *flags),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=240,
        check=False,
    )


def test_a_port_that_is_taken_is_exit_1_and_one_line(tiny: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = failing("--port", str(taken.getsockname()[1]), model=tiny)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("sightline-serve: cannot listen on 127.0.0.1 port")
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_loaded_is_exit_1_and_one_line(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"garbage")
    done = failing("--port", "0", model=tmp_path / "model")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("sightline-serve: cannot load the model")
    assert "Traceback" not in done.stderr


def test_a_model_that_fails_the_warm_up_never_becomes_ready(tiny: Path, tmp_path: Path) -> None:
    """Its processor makes half the picture tokens that the tower gives features for."""
    shutil.copytree(tiny, tmp_path / "model")
    path = tmp_path / "model" / "processor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"patch_size": 20}))
    done = failing("--port", "0", model=tmp_path / "model")
    assert done.returncode == 1
    assert "did not answer the warm-up picture" in done.stderr.splitlines()[-1]


def test_bad_arguments_are_exit_2(tiny: Path) -> None:
    done = failing("--host", "0.0.0.0", model=tiny)
    assert done.returncode == 2
    assert "--api-key-file" in done.stderr
