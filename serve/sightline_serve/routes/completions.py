"""POST /v1/completions."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from sightline_serve import openapi
from sightline_serve.listening import while_listening
from sightline_serve.reply import CompletionReply
from sightline_serve.routes.saying import say
from sightline_serve.schema.base import parse
from sightline_serve.schema.completions import CompletionRequest
from sightline_serve.service import Service


def add(app: FastAPI, service: Service) -> None:
    @app.post("/v1/completions", **openapi.asked(CompletionRequest, openapi.Completion, streams=True))
    async def completions(request: Request) -> Response:
        """Goes on with a text: no chat template, no pictures."""
        asked = parse(CompletionRequest, await request.body())
        asking = service.running(asked.model)
        answers = await while_listening(request, asking.complete(asked, request.state.lane))
        vocabulary = asking.engine.model.vocabulary
        reply = CompletionReply(
            asked.model, vocabulary, len(asked.prompt), asked.choices, asked.logprobs is not None
        )
        return await say(service, request, asked, answers, reply, bool(asked.stream))
