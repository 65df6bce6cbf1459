"""Asks every replica again and again, beside the proxy, in its event loop."""

from __future__ import annotations

import asyncio
import logging
import random

import httpx

from sightline_gateway.rotation import Rotation
from sightline_gateway.settings import Replica, Settings
from sightline_gateway.sight import look

log = logging.getLogger(__name__)

AGAIN = 0.5
"""Seconds until a doubtful replica is asked again."""


class Watch:
    """`rotation` is kept up to date from `start()` until `stop()`."""

    def __init__(self, settings: Settings, keys: dict[str, str], seed: int | None = None) -> None:
        self.settings = settings
        self.keys = keys
        self.rotation = Rotation(replica.name for replica in settings.replicas)
        self._rng = random.Random(seed)
        self._nudges = {replica.name: asyncio.Event() for replica in settings.replicas}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """To be called in the event loop that the proxy runs in."""
        self._tasks = [asyncio.create_task(self._keep_asking(replica)) for replica in self.settings.replicas]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lost(self, name: str, said: str) -> None:
        """A request found nobody at `name`: out of rotation, and asked at once."""
        self.rotation.lost(name, said)
        if name in self._nudges:
            self._nudges[name].set()

    async def _keep_asking(self, replica: Replica) -> None:
        nudge = self._nudges[replica.name]
        # A connection of its own each time: one kept open says nothing about whether new ones are taken.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
            while True:
                try:
                    key = self.keys.get(replica.name, "")
                    found = await look(client, replica, key, self.settings.watch_timeout, self._rng)
                    self.rotation.consider(replica.name, found)
                except Exception:
                    # Whatever it is, a watcher that has ended would leave its last word standing.
                    log.exception("asking %s went wrong", replica.name)
                nudge.clear()
                doubtful = self.rotation.standings[replica.name].doubtful
                pause = AGAIN if doubtful else self.settings.watch_every
                try:
                    await asyncio.wait_for(nudge.wait(), pause)
                    await asyncio.sleep(AGAIN)
                except TimeoutError:
                    pass
