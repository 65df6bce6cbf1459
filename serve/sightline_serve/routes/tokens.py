"""POST /tokenize and POST /detokenize."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request

from sightline_serve import errors, openapi
from sightline_serve.listening import while_listening
from sightline_serve.schema.base import parse
from sightline_serve.schema.tokens import DetokenizeRequest, TokenizeRequest, parse_tokenize
from sightline_serve.service import Service


def add(app: FastAPI, service: Service) -> None:
    @app.post("/tokenize", **openapi.asked(TokenizeRequest, openapi.Tokens))
    async def tokenize(request: Request) -> dict[str, Any]:
        """The tokens of a text, or of messages as the model would get them, pictures included."""
        asked = parse_tokenize(await request.body())
        asking = service.running(asked.model)
        tokens = await while_listening(request, asking.tokens(asked))
        return {"tokens": tokens, "count": len(tokens), "max_model_len": asking.engine.context}

    @app.post("/detokenize", **openapi.asked(DetokenizeRequest, openapi.Text))
    async def detokenize(request: Request) -> dict[str, str]:
        """The text of tokens, special ones included."""
        asked = parse(DetokenizeRequest, await request.body())
        vocabulary = service.running(asked.model).engine.model.vocabulary
        known = len(vocabulary)
        for at, token in enumerate(asked.tokens):
            if token >= known:
                where = f"tokens[{at}]"
                why = f"Invalid '{where}': the vocabulary has {known} tokens."
                raise errors.bad_request(why, where, "invalid_value")
        return {"prompt": await asyncio.to_thread(vocabulary.text, asked.tokens)}
