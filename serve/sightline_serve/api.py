"""The routes. Each says what it answers; the work is in service.py."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sightline_serve import __version__, errors, page, schema
from sightline_serve.answers import Answers
from sightline_serve.auth import KeyRing
from sightline_serve.errors import ApiError
from sightline_serve.gate import Gate, Unbroken, error_response
from sightline_serve.listening import ClientGone, LiveResponse, while_listening
from sightline_serve.reply import ChatReply, Reply
from sightline_serve.service import Service


def build_app(service: Service, keys: KeyRing) -> FastAPI:
    settings = service.settings
    app = FastAPI(title="sightline-serve", version=__version__, docs_url=None, redoc_url=None)
    body = {
        "content": {"application/json": {"schema": schema.ChatRequest.model_json_schema()}},
        "required": True,
    }

    @app.get("/", include_in_schema=False)
    async def try_it() -> Response:
        """The page to try the model in a browser."""
        return page.response()

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
            "batching": service.engine.batching if service.engine else None,
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
        engine = service.running(asked.model)
        answers = await while_listening(request, service.chat(asked, request.state.lane))
        model = engine.model
        style = model.template.tool_style if asked.offered else None
        reply = ChatReply(asked.model, model.vocabulary, asked.choices, bool(asked.logprobs), style)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        headers = {"X-Sightline-Ignored": ", ".join(asked.ignored)} if asked.ignored else {}
        return await say(request, answers, reply, usage if asked.stream else None, headers)

    async def say(
        request: Request, answers: Answers, reply: Reply, stream_usage: bool | None, headers: dict[str, str]
    ) -> Response:
        """The answers whole, or streamed if `stream_usage` says whether the stream tells its usage."""

        def finish() -> None:
            answers.cancel()
            if reply.tokens:
                request.state.tokens = reply.tokens
                service.metrics.answered(*reply.tokens)

        if stream_usage is not None:
            response: Response = LiveResponse(reply.stream(aiter(answers), stream_usage), ended=finish)
        else:
            try:
                response = JSONResponse(await while_listening(request, reply.whole(aiter(answers))))
            finally:
                finish()
        response.headers.update(headers)
        return response

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
    app.add_middleware(Gate, settings=settings, metrics=service.metrics, keys=keys)
    return app
