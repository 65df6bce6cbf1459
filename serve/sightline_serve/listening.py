"""Noticing that a client has gone, so that its request costs nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


class LiveResponse(StreamingResponse):
    """Server-sent events; calls `ended` however they end, also if the client leaves before the first."""

    def __init__(self, pieces: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        # A proxy must neither keep an answer nor hold its pieces back.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(pieces, media_type="text/event-stream", headers=headers)
        self.ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.ended()


async def while_listening(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`; drops it and raises ClientGone if the client leaves. The body must have been read."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
