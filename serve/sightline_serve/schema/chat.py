"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sightline_serve import errors
from sightline_serve.schema import fields
from sightline_serve.schema.base import Sampling, StreamOptions, parse
from sightline_serve.schema.formats import ResponseFormat
from sightline_serve.schema.parts import Message


class ChatRequest(Sampling):
    harmless: ClassVar[frozenset[str]] = fields.HARMLESS | fields.REASONING | {"parallel_tool_calls"}
    unsupported: ClassVar[fields.Refusals] = {
        "tools": ([[]], "tool calls are not served"),
        "tool_choice": (["none", "auto"], "tool calls are not served"),
        "functions": ([[]], "tool calls are not served"),
        "function_call": (["none", "auto"], "tool calls are not served"),
        "modalities": ([["text"], []], "answers are text only"),
        "audio": ([], "answers are text only"),
        "web_search_options": ([], "this server does not search the web"),
        "moderation": ([], "answers are not moderated here"),
        "verbosity": (["medium"], "say in the prompt how long the answer should be"),
        **fields.EXTENSIONS,
        **fields.CHAT_EXTENSIONS,
    }

    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @property
    def token_limit(self) -> int | None:
        """max_completion_tokens, or its older name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`. Raises a 400 ApiError that names the field and says what it should be."""
    request = parse(ChatRequest, body)
    if request.top_logprobs and not request.logprobs:
        raise errors.bad_request("'top_logprobs' needs 'logprobs': true.", "top_logprobs", "invalid_value")
    return request
