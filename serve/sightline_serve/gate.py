"""The door: key, body size, one access line a request, and no error without its envelope."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline_serve import auth, errors
from sightline_serve.errors import ApiError
from sightline_serve.metrics import Metrics
from sightline_serve.settings import Settings

log = logging.getLogger(__name__)

OPEN = {"/health", "/ready"}
KNOWN = {*OPEN, "/metrics", "/openapi.json", "/v1/models", "/v1/chat/completions"}


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.envelope(), error.status, error.headers)


class Gate:
    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        # Filled in by the route: scope["state"] is what Request.state reads.
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 499  # the client went away before there was an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, watched)
        finally:
            seconds = time.monotonic() - began
            path = scope["path"] if scope["path"] in KNOWN else "other"
            self.metrics.request(path, status, seconds)
            tokens = state.get("tokens")
            said = f" tokens={tokens[0]}+{tokens[1]}" if tokens else ""
            level = logging.DEBUG if path in OPEN else logging.INFO
            shown = path if path != "other" else ascii(scope["path"][:100])
            log.log(level, "%s %s %d %.0f ms%s", scope["method"], shown, status, seconds * 1000, said)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            if scope["path"] not in OPEN:
                auth.check(self.settings.keys, headers.get(b"authorization"))
            if int(headers.get(b"content-length", b"0")) > self.settings.max_body_bytes:
                raise errors.body_too_large(self.settings.max_body_bytes)
        except ApiError as error:
            await self._refuse(error, scope, receive, send)
            return
        await self.app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        """Counts a body that did not say its length; too much raises a 413 ApiError in whoever reads."""
        left = self.settings.max_body_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise errors.body_too_large(self.settings.max_body_bytes)
            return message

        return counted

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads some of the body first: a client still writing would see a broken pipe, not the answer."""
        try:
            async with asyncio.timeout(5):
                left = 2 * self.settings.max_body_bytes
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b"")) + 1
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            log.debug("a refused client kept on sending slowly")
        await error_response(error)(scope, receive, send)


class Unbroken:
    """Turns what nobody foresaw into a 500 in the envelope; the log says where, not with what."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("unforeseen %s\n%s", type(error).__name__, where)
            if not started:
                await error_response(errors.internal())(scope, receive, send)
