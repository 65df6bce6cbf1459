"""The routes. Each says what it answers; the work is in service.py."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from sightline_serve import __version__, errors, schema
from sightline_serve.errors import ApiError
from sightline_serve.gate import Gate, error_response
from sightline_serve.reply import Reply
from sightline_serve.scheduler import Generation
from sightline_serve.service import Service

log = logging.getLogger(__name__)
T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


def build_app(service: Service) -> FastAPI:
    settings = service.settings
    app = FastAPI(title="sightline-serve", version=__version__, docs_url=None, redoc_url=None)
    body = {
        "content": {"application/json": {"schema": schema.ChatRequest.model_json_schema()}},
        "required": True,
    }

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process lives. Says nothing about the model."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 once the model has answered a picture, 503 with the reason before and while shutting down."""
        state = "draining" if service.draining else service.state
        return JSONResponse({"status": state}, 200 if service.ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def card() -> dict[str, Any]:
        return {
            "id": settings.served_model_name,
            "object": "model",
            "created": service.created,
            "owned_by": "sightline",
            "max_model_len": service.engine.context if service.engine else None,
            "max_images": settings.budget.pictures,
        }

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card()]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        if name != settings.served_model_name:
            raise errors.model_not_found(name, settings.served_model_name)
        return card()

    @app.post("/v1/chat/completions", openapi_extra={"requestBody": body})
    async def chat_completions(request: Request) -> Response:
        asked = schema.parse_chat(await request.body())
        client = request.client.host if request.client else ""
        generation = await while_listening(request, service.chat(asked, client))
        reply = Reply(asked.model)
        if asked.stream:
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            headers = {
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }  # proxies must not hold it back
            pieces = stream(request, generation, reply, usage)
            return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)
        try:
            return JSONResponse(await while_listening(request, reply.whole(aiter(generation))))
        finally:
            generation.cancel()
            account(request, reply)

    async def stream(
        request: Request, generation: Generation, reply: Reply, usage: bool
    ) -> AsyncIterator[bytes]:
        try:
            async for chunk in reply.stream(aiter(generation), usage):
                yield chunk
        finally:
            generation.cancel()
            account(request, reply)

    def account(request: Request, reply: Reply) -> None:
        if reply.finish:
            tokens = (reply.finish.prompt_tokens, reply.finish.completion_tokens)
            request.state.tokens = tokens
            service.metrics.answered(*tokens)

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(ClientGone)
    async def client_gone(_: Request, __: ClientGone) -> Response:
        return Response(status_code=499)  # nobody reads it; the access line shows it

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = f"{error.detail}: {request.method} {request.url.path[:200]}"
        return error_response(
            ApiError(error.status_code, message, code=str(error.detail).lower().replace(" ", "_"))
        )

    app.add_middleware(Unbroken)
    app.add_middleware(Gate, settings=settings, metrics=service.metrics)
    return app


class Unbroken:
    """Turns what nobody foresaw into a 500 in the envelope; the log says where, not with what."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def watched(message: Any) -> None:
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
