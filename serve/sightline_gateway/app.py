"""LiteLLM's proxy in this process, with the watch beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from contextlib import nullcontext
from pathlib import Path

import yaml
from sightline_start.errors import StartError

from sightline_gateway import running
from sightline_gateway.config import key_variable, litellm_config
from sightline_gateway.front import front
from sightline_gateway.keys import KeyRing, KeysProblem
from sightline_gateway.settings import Settings
from sightline_gateway.watch import Watch

DRAIN_SECONDS = 30
KEYS_LOOKED_AT = 5.0
STARTS_WATCH = "sightline_gateway.app:start_watch"


log = logging.getLogger(__name__)
_tasks: list[asyncio.Task[None]] = []
"""The event loop itself holds its tasks but loosely."""


def replica_keys(settings: Settings, path: Path | None) -> dict[str, str]:
    """`NAME KEY` a line; a replica without a line is asked without a key. Raises StartError."""
    if path is None:
        return {}
    keys = {}
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise StartError(f"--replica-keys {path} cannot be read: {problem}.") from None
    known = {replica.name for replica in settings.replicas}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in known:
            raise StartError(
                f"--replica-keys {path}, line {number}: a line is a replica's name and its key; "
                f"the replicas are {', '.join(sorted(known))}."
            )
        keys[words[0]] = words[1]
    return keys


def prepare_environment(config: Path, keys: dict[str, str]) -> None:
    """LiteLLM takes these from the environment, and the keys that its configuration names."""
    os.environ |= {
        "CONFIG_FILE_PATH": str(config),
        # Without it, prices are fetched from GitHub at every start.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_WORKER_STARTUP_HOOKS": STARTS_WATCH,
        # It refuses to start without one. Nobody knows this one, so nobody is its administrator.
        "LITELLM_MASTER_KEY": "sk-" + secrets.token_urlsafe(32),
        "LITELLM_LOG": "ERROR",
        "DISABLE_ADMIN_UI": "True",
        "NO_DOCS": "True",
        "NO_REDOC": "True",
        **{key_variable(name): key for name, key in keys.items()},
    }


def write_private(path: Path, text: str) -> None:
    """A file that only its owner reads, whole or not at all. Raises StartError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        beside.replace(path)
    except OSError as problem:
        raise StartError(f"{path} cannot be written: {problem.strerror}.") from None


async def start_watch() -> None:
    """LiteLLM calls it in its event loop (LITELLM_WORKER_STARTUP_HOOKS)."""
    running.now().watch.start()
    if running.now().replica_keys is not None:
        _tasks.append(asyncio.create_task(end_when_changed(running.now().replica_keys)))


async def end_when_changed(path: Path | None) -> None:
    """LiteLLM takes the replicas' keys at its start only: with others this process ends, once its answers are
    given, and what keeps it running starts it anew.
    """
    before = stamp(path)
    while stamp(path) in (before, None):
        await asyncio.sleep(KEYS_LOOKED_AT)
    log.warning("%s has changed: ending, to be started with the new keys", path)
    os.kill(os.getpid(), signal.SIGTERM)


def stamp(path: Path | None) -> tuple[int, int] | None:
    """Changes when the file does; None while it is not there."""
    try:
        status = os.stat(path or "")
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def serve(
    settings: Settings,
    clients: tuple[Path, ...],
    keys: dict[str, str],
    config: Path,
    address: tuple[str, int],
    caddyfile: Path | None = None,
    keys_file: Path | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; returns 0. `caddyfile`: Caddy stands before it; `keys_file`: where the
    replicas' `keys` come from. Raises StartError.
    """
    try:
        ring = KeyRing(clients)
    except KeysProblem as problem:
        raise StartError(f"--keys {problem}.") from None
    write_private(config, yaml.safe_dump(litellm_config(settings), sort_keys=False))
    prepare_environment(config, keys)
    running.run_with(running.Running(settings, ring, Watch(settings, keys), keys_file))
    try:
        import uvicorn
        from litellm.proxy.proxy_server import app
    except ImportError as problem:
        raise StartError(f"LiteLLM's proxy cannot be loaded: {problem}.") from None
    from sightline_gateway.doors import Doors

    host, port = address
    print(f"listening on http://{host}:{port}", flush=True)
    with front(caddyfile) if caddyfile else nullcontext():
        uvicorn.run(
            Doors(app),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=DRAIN_SECONDS,
            # Who asks is told by the key, never by a header.
            proxy_headers=False,
        )
    return 0
