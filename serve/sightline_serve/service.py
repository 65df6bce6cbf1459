"""The server's life (loading, warming up, ready, draining) and a request's way through its rooms."""

from __future__ import annotations

import asyncio
import logging
import time

import torch

from sightline_serve import cores, errors, lean, loaders, memory, schema, warmup
from sightline_serve.asking import Asking
from sightline_serve.engine import Engine
from sightline_serve.errors import StartError
from sightline_serve.fetch import Fetcher
from sightline_serve.intake import Intake
from sightline_serve.metrics import Metrics
from sightline_serve.model import Model
from sightline_serve.scheduler import Scheduler
from sightline_serve.settings import Settings

log = logging.getLogger(__name__)


class Service:
    """`state` says in words why /ready is not 200 yet, or "ready"."""

    def __init__(self, settings: Settings, fetcher: Fetcher | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.intake = Intake(settings, self.metrics, fetcher)
        self.engine: Engine | None = None
        self.scheduler: Scheduler | None = None
        self.asking: Asking | None = None
        self.state = "starting"
        self.draining = False
        self.created = int(time.time())

    @property
    def ready(self) -> bool:
        alive = self.scheduler is not None and self.scheduler.thread.is_alive()
        return self.state == "ready" and alive and not self.draining

    async def start(self) -> None:
        """Loads the model and asks it about a drawn picture. Raises StartError."""
        began = time.monotonic()
        self._enter("loading the model")
        # A thread of its own: a load that hangs must not hold the process back when it is told to end.
        model = await asyncio.to_thread(loaders.load, self.settings)
        # Before any thread of ours runs the model: each takes this number over when it starts.
        torch.set_num_threads(self.settings.threads or cores.threads_for(model.parameters))
        self.engine = await asyncio.to_thread(self._engine, model)
        self.scheduler = Scheduler(
            self.engine,
            self.metrics,
            max_running=self.settings.max_num_seqs,
            max_waiting=self.settings.max_queue,
            max_prefill_tokens=self.settings.max_prefill_tokens
            or cores.prefill_tokens(model.parameters, memory.on_gpu(self.settings)),
        )
        self.asking = Asking(self.engine, self.scheduler, self.intake, self.settings.max_queue)
        threads = torch.get_num_threads()
        log.info("loaded in %.1f s: %s, threads: %d", time.monotonic() - began, model.description, threads)
        self._enter("warming up")
        # Beside the warm-up: seconds for a large vocabulary, which must not pass on the event loop later.
        table = asyncio.create_task(asyncio.to_thread(getattr, model.vocabulary, "table"))
        await self._warm_up(self.asking)
        await table
        lean.when_ready()
        self.state = "ready"
        self.metrics.ready.set(1)
        log.info("ready in %.1f s; serving %r", time.monotonic() - began, self.settings.served_model_name)

    def running(self, model: str) -> Asking:
        """For a request that names its model. Raises ApiError unless it can be answered now."""
        if self.draining:
            raise errors.draining()
        if not self.ready or self.asking is None:
            raise errors.not_ready(self.state)
        if model != self.settings.served_model_name:
            raise errors.model_not_found(model, self.settings.served_model_name)
        return self.asking

    def drain(self) -> None:
        """From now on new requests get 503; the running ones go on."""
        self.draining = True
        self.metrics.ready.set(0)

    def cut(self) -> None:
        """Fails what is still running with a 503, so that its clients are told."""
        if self.scheduler:
            self.scheduler.end()

    async def close(self) -> None:
        if self.scheduler:
            self.scheduler.close()
        await self.intake.close()
        if self.asking:
            await self.asking.close()

    async def _warm_up(self, asking: Asking) -> None:
        request = schema.parse_chat(warmup.request_body(self.settings.served_model_name))
        try:
            async for _ in await asking.chat(request, "warm-up"):
                pass
        except errors.ApiError as error:
            raise StartError(f"the model did not answer the warm-up picture: {error.message}") from error

    def _engine(self, model: Model) -> Engine:
        settings = self.settings
        running, kept = memory.shares(settings, 4 * model.parameters)
        engine = Engine(model, settings.max_model_len, running, settings.max_num_seqs, kept)
        log.info(
            "key/value cache: %s tokens, context %d, %s",
            engine.budget.tokens if engine.budget else "uncounted",
            engine.context,
            "requests share a forward" if engine.batching else "requests take turns, a token each",
        )
        return engine

    def _enter(self, state: str) -> None:
        self.state = state
        log.info("%s", state)
