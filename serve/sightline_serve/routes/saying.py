"""What the routes share: an answer whole or streamed, and what is done when it has ended."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from sightline_serve import schema
from sightline_serve.answers import Answers
from sightline_serve.listening import LiveResponse, while_listening
from sightline_serve.reply import Reply
from sightline_serve.service import Service


async def say(
    service: Service, request: Request, asked: schema.Sampling, answers: Answers, reply: Reply, stream: bool
) -> Response:
    def finish() -> None:
        answers.cancel()
        if reply.tokens:
            request.state.tokens = reply.tokens
            service.metrics.answered(*reply.tokens)

    if stream:
        options = getattr(asked, "stream_options", None)
        usage = bool(options and options.include_usage)
        response: Response = LiveResponse(reply.stream(aiter(answers), usage), ended=finish)
    else:
        try:
            response = JSONResponse(await while_listening(request, reply.whole(aiter(answers))))
        finally:
            finish()
    if asked.ignored:
        response.headers["X-Sightline-Ignored"] = ", ".join(asked.ignored)
    return response
