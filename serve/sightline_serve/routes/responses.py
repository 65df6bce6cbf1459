"""POST /v1/responses."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from sightline_serve import openapi
from sightline_serve.listening import while_listening
from sightline_serve.reply import ResponsesReply
from sightline_serve.routes.saying import say
from sightline_serve.schema.responses import ResponsesRequest, parse_responses
from sightline_serve.service import Service


def add(app: FastAPI, service: Service) -> None:
    @app.post("/v1/responses", **openapi.asked(ResponsesRequest, openapi.ResponseObject, streams=True))
    async def responses(request: Request) -> Response:
        """Answers about texts and pictures; nothing is stored."""
        asked = parse_responses(await request.body())
        asking = service.running(asked.model)
        answers = await while_listening(request, asking.respond(asked, request.state.lane))
        vocabulary = asking.engine.model.vocabulary
        form = asked.text.format if asked.text else None
        extra = asked.model_extra or {}
        echo = {
            "instructions": asked.instructions, "max_output_tokens": asked.max_output_tokens,
            "temperature": asked.temperature, "top_p": asked.top_p, "top_logprobs": asked.top_logprobs or 0,
            "text": {"format": form.model_dump(by_alias=True) if form else {"type": "text"}},
            "metadata": extra.get("metadata") or {}, "user": extra.get("user"),
        }  # fmt: skip
        reply = ResponsesReply(asked.model, vocabulary, echo, asked.likeliest is not None)
        return await say(service, request, asked, answers, reply, bool(asked.stream))
