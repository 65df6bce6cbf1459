"""The process: bind, serve while the model loads, drain on SIGTERM, end with the right exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
from collections.abc import Iterator

import uvicorn

from sightline_serve.api import build_app
from sightline_serve.auth import KeyRing
from sightline_serve.connection import Connection
from sightline_serve.errors import StartError
from sightline_serve.service import Service
from sightline_serve.settings import Settings

log = logging.getLogger(__name__)


class Uvicorn(uvicorn.Server):
    """Leaves signals alone: uvicorn would raise SIGTERM again after the drain, and exit with 143."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0 after the drain; raises StartError if it never got ready."""
    listener = _bind(settings)
    log.info("listening on http://%s:%d", settings.host, listener.getsockname()[1])
    try:
        return asyncio.run(_serve(settings, listener))
    finally:
        logging.shutdown()


async def _serve(settings: Settings, listener: socket.socket) -> int:
    service = Service(settings)
    keys = KeyRing(settings.keys, settings.api_key_file)
    server = Uvicorn(
        uvicorn.Config(
            build_app(service, keys),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            http=Connection,
            ws="none",
            lifespan="off",
            # The scheduler ends what is left at the drain timeout; this is for what hangs even then.
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout) + 2,
        )
    )

    def stop() -> None:
        log.info("draining: no new requests; running ones have %g s", settings.drain_timeout)
        service.drain()
        server.should_exit = True
        loop.call_later(settings.drain_timeout, service.cut)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if settings.api_key_file:
        loop.add_signal_handler(signal.SIGHUP, keys.reload)
    starting = asyncio.create_task(service.start())
    starting.add_done_callback(
        lambda task: setattr(server, "should_exit", server.should_exit or _failed(task))
    )
    await server.serve(sockets=[listener])
    if not starting.done():
        # The loader cannot be interrupted, and the interpreter would wait for its thread.
        log.info("ended before the model was ready")
        logging.shutdown()
        os._exit(0)
    await service.close()
    starting.result()
    log.info("drained; bye")
    return 0


def _failed(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
            "Choose another --port, or stop what holds this one."
        ) from None
    listener.set_inheritable(False)
    return listener
