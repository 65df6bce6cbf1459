"""The routes. Each says what it answers; the work is in service.py."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from sightline_serve import __version__, errors, openapi, page, routes
from sightline_serve.auth import KeyRing
from sightline_serve.errors import ApiError
from sightline_serve.gate import Gate, Unbroken, error_response
from sightline_serve.listening import ClientGone
from sightline_serve.service import Service


def build_app(service: Service, keys: KeyRing) -> FastAPI:
    settings = service.settings
    app = FastAPI(title="sightline-serve", version=__version__, docs_url=None, redoc_url=None)

    @app.get("/", include_in_schema=False)
    async def try_it() -> Response:
        """The page to try the model in a browser."""
        return page.response()

    @app.get("/health", response_model=openapi.Status)
    async def health() -> dict[str, str]:
        """The process lives. Says nothing about the model."""
        return {"status": "ok"}

    @app.get(
        "/ready",
        responses={200: {"model": openapi.Status}, 503: {"model": openapi.Status, "description": "Not yet"}},
    )
    async def ready() -> JSONResponse:
        """200 once the model has answered a picture, 503 with the reason before and while shutting down."""
        state = "draining" if service.draining else service.state
        return JSONResponse({"status": state}, 200 if service.ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=openapi.refusals(401))
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

    @app.get("/v1/models", response_model=openapi.ModelList, responses=openapi.refusals(401))
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card()]}

    @app.get("/v1/models/{name:path}", response_model=openapi.ModelCard, responses=openapi.refusals(401, 404))
    async def model(name: str) -> dict[str, Any]:
        if name != settings.served_model_name:
            raise errors.model_not_found(name, settings.served_model_name)
        return card()

    routes.add(app, service)
    openapi.describe(app, settings.served_model_name)

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(ClientGone)
    async def client_gone(_: Request, __: ClientGone) -> Response:
        return Response(status_code=499)  # nobody reads it; the access line shows it

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = f"{error.detail}: {request.method} {request.url.path[:200]}"
        refused = ApiError(error.status_code, message, code=str(error.detail).lower().replace(" ", "_"))
        refused.headers.update(error.headers or {})  # a 405 says what is allowed
        return error_response(refused)

    app.add_middleware(Unbroken)
    app.add_middleware(Gate, settings=settings, metrics=service.metrics, keys=keys)
    return app
