"""The servers that are measured: how each is started, as its own documentation starts it on a CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sightline.bench.serve.subjects import Subject
from sightline.layout import CHECKOUT

CONTEXT = 1024
"""Tokens of prompt and answer together that each server is given room for."""
OURS = "sightline-serve"

Command = Callable[[Path, Subject, int, int], list[str]]


@dataclass(frozen=True)
class Peer:
    """`command(environment's folder, subject, port, clients)`; `takes`: whether it can serve a subject;
    `headers`: what requests need beside their bodies.
    """

    name: str
    environment: str
    command: Command
    takes: Callable[[Subject], bool] = lambda subject: True
    variables: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """Nothing is fetched and nobody is told; what one server reads does not reach another."""
        return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", **self.variables}


def _ours(environment: Path, subject: Subject, port: int, clients: int) -> list[str]:
    return [
        f"{environment}/bin/python", "-m", "sightline_serve", "--model", str(subject.folder),
        "--served-model-name", subject.asked_as, "--port", str(port), "--max-num-seqs", str(clients),
        "--max-model-len", str(CONTEXT),
    ]  # fmt: skip


def _transformers(environment: Path, subject: Subject, port: int, clients: int) -> list[str]:
    return [
        f"{environment}/bin/transformers", "serve", subject.asked_as, "--host", "127.0.0.1",
        "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip


def _vllm(environment: Path, subject: Subject, port: int, clients: int) -> list[str]:
    return [
        f"{environment}/bin/vllm", "serve", str(subject.folder), "--served-model-name", subject.asked_as,
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-num-seqs", str(clients),
        "--max-model-len", str(CONTEXT),
    ]  # fmt: skip


def _llama(environment: Path, subject: Subject, port: int, clients: int) -> list[str]:
    script = Path(__file__).with_name("llama_server.py")
    return [
        f"{environment}/bin/python", str(script), str(subject.gguf), str(port), str(clients), str(CONTEXT)
    ]  # fmt: skip


PEERS = (
    Peer(OURS, "engine", _ours, variables={"PYTHONPATH": str(CHECKOUT / "serve")}),
    Peer("transformers serve", "transformers-serve", _transformers),
    Peer(
        "vLLM",
        "vllm",
        _vllm,
        takes=lambda subject: subject.family != "mllama",  # removed in 0.10.2
        variables={
            "PYTHONPATH": str(CHECKOUT / "serve/sightline_vllm/repairs"),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        },
    ),
    Peer("llama.cpp", "llama", _llama, takes=lambda subject: subject.gguf is not None),
)
