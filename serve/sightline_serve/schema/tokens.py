"""The bodies of POST /tokenize and POST /detokenize."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline_serve import errors
from sightline_serve.schema.base import Request, parse
from sightline_serve.schema.parts import Message

TokenNumber = Annotated[int, Field(ge=0, lt=2**31)]


class TokenizeRequest(Request):
    """A text as it is, or messages with their pictures as the model would get them."""

    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool | None = Field(None, description="Of a prompt; true if left out")


class DetokenizeRequest(Request):
    tokens: list[TokenNumber] = Field(max_length=200_000)


def parse_tokenize(body: bytes) -> TokenizeRequest:
    request = parse(TokenizeRequest, body)
    if (request.prompt is None) == (request.messages is None):
        raise errors.bad_request("Send either 'prompt' or 'messages'.", "prompt", "invalid_value")
    return request
