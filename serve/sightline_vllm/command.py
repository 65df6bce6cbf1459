"""The words and variables that `vllm serve` is started with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from sightline_vllm import gate
from sightline_vllm.settings import MEGA, Settings

REPAIRS = Path(__file__).parent / "repairs"
NOWHERE = "picture-urls-are-off.invalid"
"""A name that no picture URL resolves to (RFC 2606): vLLM takes an empty list of domains for all of them."""
LARGEST_FILE = 20
"""Million bytes of a picture that vLLM fetches from a URL; its own default is 256."""


def words(settings: Settings) -> list[str]:
    """The command. No key is ever among its words: the gate reads the file that a variable names."""
    made = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(settings.model)]
    made += ["--served-model-name", settings.name]
    if settings.context:
        made += ["--max-model-len", str(settings.context)]
    if settings.slots:
        made += ["--max-num-seqs", str(settings.slots)]
    if settings.share:
        made += ["--gpu-memory-utilization", f"{settings.share:g}"]
    if settings.cache_bytes:
        made += ["--kv-cache-memory-bytes", str(settings.cache_bytes)]
    # Neither sound nor video is served, and vLLM keeps memory for what it may be asked.
    made += ["--limit-mm-per-prompt", json.dumps({"image": settings.pictures, "video": 0, "audio": 0})]
    if settings.scaled_pixels:
        made += ["--mm-processor-kwargs", json.dumps({"max_pixels": settings.scaled_pixels})]
    made += ["--allowed-media-domains", *(settings.domains or [NOWHERE])]
    made += ["--tensor-parallel-size", str(settings.cards)]
    if settings.cpu:
        # As sightline-serve computes on a CPU; the plan counts the weights so.
        made += ["--dtype", "float32"]
    return [*made, *_node(settings), *settings.rest]


def _node(settings: Settings) -> list[str]:
    node = settings.node
    made: list[str] = []
    if node:
        made += ["--distributed-executor-backend", "mp", "--nnodes", str(node.count)]
        made += ["--node-rank", str(node.rank), "--master-addr", node.head, "--master-port", str(node.port)]
    if node and node.rank:
        return [*made, "--headless"]
    made += ["--host", settings.host, "--port", str(settings.port), "--disable-fastapi-docs"]
    return [*made, *(["--middleware", "sightline_vllm.gate.Gate"] if settings.api_key_file else [])]


def variables(settings: Settings, before: Mapping[str, str]) -> dict[str, str]:
    """What it runs in: nothing is fetched, nobody is told, and only one network is used between nodes."""
    made = {
        **before,
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # A domain that is allowed could otherwise send vLLM on to one that is not.
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_MAX_MEDIA_DOWNLOAD_SIZE_MB": str(LARGEST_FILE),
        "VLLM_MAX_IMAGE_PIXELS": str(settings.pixels),
    }
    # It would be one more key, and for a part of the paths only.
    made.pop("VLLM_API_KEY", None)
    path = [entry for entry in before.get("PYTHONPATH", "").split(os.pathsep) if entry]
    package = str(Path(__file__).parent.parent)
    path = [package, *(entry for entry in path if entry != package)]
    made["PYTHONPATH"] = os.pathsep.join([str(REPAIRS), *path] if settings.cpu else path)
    if settings.api_key_file:
        made[gate.FILE] = str(settings.api_key_file)
    if settings.node:
        made["VLLM_HOST_IP"] = settings.node.address
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME"):
            made[name] = settings.node.interface
    return made


def megapixels(number: float) -> int:
    """Pixels."""
    return int(number * MEGA)
