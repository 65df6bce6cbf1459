"""The door: key, place, body size and time, one access line a request, and no error without its envelope."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from contextlib import nullcontext
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline_serve import errors
from sightline_serve.auth import Key, KeyRing
from sightline_serve.errors import ApiError
from sightline_serve.metrics import Metrics
from sightline_serve.places import Places
from sightline_serve.settings import Settings

log = logging.getLogger(__name__)

OPEN = {"/", "/health", "/ready"}  # the page asks for the key itself
ASKING = {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"}
KNOWN = {*OPEN, "/metrics", "/openapi.json", "/v1/models", *ASKING}


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.envelope(), error.status, error.headers)


class Gate:
    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, keys: KeyRing) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.keys = keys
        self.open = OPEN | {"/metrics"} if settings.open_metrics else OPEN
        self.places = Places(settings.max_num_seqs + settings.max_queue, settings.max_requests_per_key)
        metrics.inside.set_function(self.places.taken.total)

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
            key, tokens = state.get("key"), state.get("tokens")
            said = f" key={key.name}" if key and len(self.keys.keys) > 1 else ""
            said += f" tokens={tokens[0]}+{tokens[1]}" if tokens else ""
            level = logging.DEBUG if path in OPEN else logging.INFO
            shown = path if path != "other" else ascii(scope["path"][:100])
            log.log(level, "%s %s %d %.0f ms%s", scope["method"], shown, status, seconds * 1000, said)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            key = None if scope["path"] in self.open else self.keys.check(headers.get(b"authorization"))
            scope["state"].update(lane=_lane(scope, key), key=key)
            with self.places.one(key) if scope["method"] == "POST" else nullcontext():
                if int(headers.get(b"content-length", b"0")) > self.settings.max_body_bytes:
                    raise errors.body_too_large(self.settings.max_body_bytes)
                await self.app(scope, self._limited(receive), send)
        except ApiError as error:  # the routes' own never come this far
            await self._refuse(error, scope, receive, send)

    def _limited(self, receive: Receive) -> Receive:
        """Raises a 413 or 408 ApiError in whoever reads a body that is too much or takes too long."""
        left = self.settings.max_body_bytes
        deadline = asyncio.get_running_loop().time() + self.settings.body_timeout
        whole = False

        async def counted() -> Message:
            nonlocal left, whole
            if whole:  # what comes now is that the client leaves
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise errors.body_too_slow(self.settings.body_timeout) from None
            left -= len(message.get("body", b""))
            if left < 0:
                raise errors.body_too_large(self.settings.max_body_bytes)
            whole = not message.get("more_body", False)
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


def _lane(scope: Scope, key: Key | None) -> str:
    """Whom the queue is fair between: clients by address, and keys behind one address."""
    client = scope.get("client")
    return f"{key.name if key else ''}@{client[0] if client else ''}"


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
