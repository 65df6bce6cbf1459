"""The API's own description: what each route takes, answers, and how it refuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

PLACE = "#/components/schemas/{model}"
_bodies: dict[str, type[BaseModel]] = {}  # requests: read by ourselves, so FastAPI does not know them


class ErrorFields(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    error: ErrorFields


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class Answer(BaseModel):
    id: str
    object: str
    created: int
    model: str
    usage: Usage


class ChatMessage(BaseModel):
    role: str
    content: str | None
    refusal: None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(BaseModel):
    index: int
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: str


class ChatCompletion(Answer):
    choices: list[ChatChoice]


class TextChoice(BaseModel):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: str


class Completion(Answer):
    choices: list[TextChoice]


class ResponseObject(BaseModel):
    id: str
    object: str
    created_at: int
    status: str
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any]
    error: None
    incomplete_details: dict[str, str] | None


class Tokens(BaseModel):
    tokens: list[int]
    count: int
    max_model_len: int


class Text(BaseModel):
    prompt: str


class ModelCard(BaseModel):
    id: str
    object: str
    created: int
    owned_by: str
    max_model_len: int | None
    batching: bool | None
    max_images: int


class ModelList(BaseModel):
    object: str
    data: list[ModelCard]


class Status(BaseModel):
    status: str


REFUSALS = {
    400: "The body, a field, a picture or a schema; `param` names it",
    401: "The key is missing or wrong",
    404: "Another model, or another path",
    408: "The body did not come in time",
    413: "The body is too large",
    429: "The house is full, or this key's places are taken; with Retry-After",
    500: "The model or the server failed",
    503: "Not ready, shutting down or out of memory; with Retry-After",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": REFUSALS[status]} for status in statuses}


def asked(body: type[BaseModel], answer: type[BaseModel], streams: bool = False) -> dict[str, Any]:
    """What FastAPI is told of a route that reads `body` by itself and gives `answer`, or a stream."""
    _bodies[body.__name__] = body
    answered: dict[str, Any] = {"model": answer, "description": "The answer"}
    if streams:
        stream = {"schema": {"description": "Server-sent events, where `stream` is true"}}
        answered["content"] = {"text/event-stream": stream}
    return {
        "responses": {200: answered, **refusals(*REFUSALS)},
        "response_model": None,
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": PLACE.format(model=body.__name__)}}},
            }
        },
    }


def describe(app: FastAPI, model: str) -> None:
    """Makes app.openapi() tell of the requests too, of the one `model` that they may name, and of the key."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            _, defined = models_json_schema(
                [(body, "validation") for body in _bodies.values()], ref_template=PLACE
            )
            for body in _bodies:
                defined["$defs"][body]["properties"]["model"] |= {"enum": [model]}
            components = made.setdefault("components", {})
            components.setdefault("schemas", {}).update(defined["$defs"])
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"key": []}, {}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
