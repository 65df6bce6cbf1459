"""What the operator chose. Built by cli.py, read by everyone, changed by no one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline_serve.auth import Key

MIB = 2**20


@dataclass(frozen=True)
class Budget:
    """What the pictures of one request may cost together.

    `bytes` counts the encoded files, `pixels` the decoded ones (width x height), `seconds` bounds the fetch
    of one picture by URL: name look-up, connection, redirects and body.
    """

    pictures: int = 8
    bytes: int = 20 * MIB
    pixels: int = 50_000_000
    seconds: float = 10.0


@dataclass(frozen=True)
class Settings:
    model: Path
    served_model_name: str
    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[Key, ...] = ()
    api_key_file: Path | None = None
    max_requests_per_key: int | None = None
    open_metrics: bool = False
    loader: str = "transformers"
    trust_code: str | None = None  # sha256 of the model's own code, see loaders.remote_code
    device: str = "auto"
    dtype: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 8
    max_prefill_tokens: int | None = None  # None: by the device, see cores.prefill_tokens
    kv_cache_bytes: int | None = None  # None: what memory.py finds
    gpu_memory_utilization: float = 0.85
    vision_cache_bytes: int = 256 * MIB
    prefix_cache_bytes: int | None = None
    max_queue: int = 64
    budget: Budget = Budget()
    max_body_bytes: int = 32 * MIB
    body_timeout: float = 60.0
    allow_image_hosts: frozenset[str] = frozenset()
    allow_private_image_urls: bool = False
    intake_workers: int = 2
    drain_timeout: float = 30.0
    threads: int | None = None  # None: by the model's size, see cores.threads_for
    log_level: str = "info"
