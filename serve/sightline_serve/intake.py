"""The pictures of one request, fetched side by side and decoded off the event loop, all or none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from sightline_serve import errors, memory, pictures
from sightline_serve.chat import Conversation, PictureRef
from sightline_serve.detail import at_detail
from sightline_serve.fetch import Fetcher
from sightline_serve.metrics import Metrics
from sightline_serve.pictures import PictureError, Purse
from sightline_serve.settings import Settings

T = TypeVar("T")

log = logging.getLogger(__name__)


class Intake:
    def __init__(self, settings: Settings, metrics: Metrics, fetcher: Fetcher | None = None) -> None:
        self.budget = settings.budget
        self.metrics = metrics
        self.fetcher = fetcher or Fetcher(settings)
        # As many decoded pictures are in memory as requests are in these workers; the others wait as bytes.
        self.workers = ThreadPoolExecutor(settings.intake_workers, thread_name_prefix="intake")
        # Large pictures go one request after another: they hold up each other and nobody else, and what they
        # cost together is what one costs.
        self.large = ThreadPoolExecutor(1, thread_name_prefix="large")

    async def take(
        self, conversation: Conversation, then: Callable[[Conversation, list[Image.Image]], T]
    ) -> T:
        """Gets every picture and hands them, in order, to `then` in a worker thread.

        Raises a 400 ApiError that names the first picture that cannot be had and says why, and a 503 one if
        memory runs out.
        """
        refs = conversation.pictures
        if len(refs) > self.budget.pictures:
            raise errors.bad_request(
                f"The request has {len(refs)} pictures; this server takes at most {self.budget.pictures}.",
                "messages",
                "too_many_images",
            )
        fetched = await self._fetch_all(refs)
        run = asyncio.get_running_loop().run_in_executor
        files, large = await run(self.workers, self._files, refs, fetched)
        return await run(self.large if large else self.workers, self._decode_all, conversation, files, then)

    async def close(self) -> None:
        await self.fetcher.close()
        for workers in (self.workers, self.large):
            workers.shutdown(wait=False, cancel_futures=True)

    async def _fetch_all(self, refs: list[PictureRef]) -> list[bytes | None]:
        try:
            async with asyncio.TaskGroup() as group:  # one failure ends the others' fetching
                tasks = [group.create_task(self._fetch(ref)) for ref in refs]
        except* errors.ApiError as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _fetch(self, ref: PictureRef) -> bytes | None:
        if ref.url[:5].lower() == "data:":
            return None  # megabytes of base64 are read in the worker, not on the event loop
        try:
            return await self.fetcher.fetch(ref.url)
        except PictureError as error:
            raise self._refused(ref, error) from None

    def _files(self, refs: list[PictureRef], fetched: list[bytes | None]) -> tuple[list[bytes], bool]:
        """All pictures' bytes, and whether one of them is large."""
        files = []
        for ref, raw in zip(refs, fetched, strict=True):
            try:
                files.append(pictures.from_data_url(ref.url) if raw is None else raw)
            except PictureError as error:
                raise self._refused(ref, error) from None
        return files, any(map(pictures.is_large, files))

    def _decode_all(
        self,
        conversation: Conversation,
        files: list[bytes],
        then: Callable[[Conversation, list[Image.Image]], T],
    ) -> T:
        try:
            return then(conversation, self._decoded(conversation.pictures, files))
        except Exception as error:
            if memory.exhausted(error):
                log.error("no memory left to take in %d picture(s)", len(files))
                raise errors.out_of_memory() from None
            raise

    def _decoded(self, refs: list[PictureRef], files: list[bytes]) -> list[Image.Image]:
        purse = Purse(self.budget)
        decoded = []
        for ref, raw in zip(refs, files, strict=True):
            try:
                decoded.append(at_detail(pictures.decode(raw, purse), ref.detail))
            except PictureError as error:
                raise self._refused(ref, error) from None
            self.metrics.pictures.labels("taken").inc()
        return decoded

    def _refused(self, ref: PictureRef, error: PictureError) -> errors.ApiError:
        self.metrics.pictures.labels("refused").inc()
        return errors.picture_error(ref.number, ref.where, str(error))
