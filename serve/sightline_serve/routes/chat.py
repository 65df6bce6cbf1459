"""POST /v1/chat/completions."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from sightline_serve import openapi, schema
from sightline_serve.listening import while_listening
from sightline_serve.reply import ChatReply
from sightline_serve.routes.saying import say
from sightline_serve.service import Service


def add(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/chat/completions", **openapi.asked(schema.ChatRequest, openapi.ChatCompletion, streams=True)
    )
    async def chat_completions(request: Request) -> Response:
        """Answers about the pictures and texts of a conversation."""
        asked = schema.parse_chat(await request.body())
        asking = service.running(asked.model)
        answers = await while_listening(request, asking.chat(asked, request.state.lane))
        model = asking.engine.model
        style = model.template.tool_style if asked.offered else None
        reply = ChatReply(asked.model, model.vocabulary, asked.choices, bool(asked.logprobs), style)
        return await say(service, request, asked, answers, reply, bool(asked.stream))
