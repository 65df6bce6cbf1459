"""llama.cpp's server in this process, until it is told to end."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from sightline_start.errors import StartError
from sightline_start.keys import read_keys

from sightline_llamacpp.pair import find_pair

CONTEXT = 4096
"""Tokens of one conversation if nobody says: a model's own limit may be 131,072, and take all memory."""


@dataclass(frozen=True)
class Settings:
    """`context` is of one conversation, in tokens; `slots` run at once; `threads` None is every core."""

    model: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: Path | None = None
    context: int = CONTEXT
    slots: int = 4
    threads: int | None = None
    gpu_layers: int = 0


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; returns 0. Raises StartError."""
    pair = find_pair(settings.model)
    keys = read_keys(settings.api_key_file) if settings.api_key_file else []
    try:
        import xllamacpp
    except ImportError as problem:
        remedy = "install the package libgomp1" if "libgomp" in str(problem) else "its wheel is xllamacpp"
        raise StartError(f"llama.cpp cannot be loaded: {problem}; {remedy}.") from None
    # Threads inherit it: a signal that llama.cpp's threads take would never reach sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = str(pair.model), str(pair.projector)
    params.model_alias = {settings.name}
    params.hostnames, params.port = [settings.host], settings.port
    params.api_keys = keys
    params.n_parallel, params.n_ctx = settings.slots, settings.slots * settings.context
    params.cpuparams.n_threads = settings.threads or cores()
    params.n_gpu_layers = settings.gpu_layers
    params.use_jinja, params.ui = True, False
    params.endpoint_metrics = True
    params.endpoint_slots = params.endpoint_props = False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as problem:
        raise StartError(f"llama.cpp did not start with {pair.model.name}: {problem}") from None
    print(f"ready on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    print("ending", flush=True)
    # Its threads have no end of their own, and the interpreter would wait for them.
    os._exit(0)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
