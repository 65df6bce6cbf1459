"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sightline_serve import errors
from sightline_serve.schema import fields
from sightline_serve.schema.base import Sampling, StreamOptions, parse, unsupported
from sightline_serve.schema.formats import ResponseFormat
from sightline_serve.schema.parts import Message
from sightline_serve.schema.tools import NamedChoice, Tool, ToolChoice, Tools


class ChatRequest(Sampling):
    harmless: ClassVar[frozenset[str]] = fields.HARMLESS | fields.REASONING
    unsupported: ClassVar[fields.Refusals] = {
        "functions": ([[]], "this older form is not served: use tools"),
        "function_call": (["none", "auto"], "this older form is not served: use tool_choice"),
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
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @property
    def token_limit(self) -> int | None:
        """max_completion_tokens, or its older name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def offered(self) -> list[Tool]:
        """The tools that the answer may call."""
        match self.tool_choice:
            case "none":
                return []
            case NamedChoice():
                return [
                    tool for tool in self.tools or [] if tool.function.name == self.tool_choice.function.name
                ]
        return self.tools or []

    @property
    def must_call(self) -> bool:
        return self.tool_choice not in (None, "none", "auto")

    @property
    def likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`. Raises a 400 ApiError that names the field and says what it should be."""
    request = parse(ChatRequest, body)
    if request.top_logprobs and not request.logprobs:
        raise errors.bad_request("'top_logprobs' needs 'logprobs': true.", "top_logprobs", "invalid_value")
    if request.must_call and not request.offered:
        raise errors.bad_request(
            "'tool_choice' names no function of 'tools'.", "tool_choice", "invalid_value"
        )
    form = request.response_format
    if request.offered and form is not None and form.type != "text":
        raise unsupported("response_format", "an answer that may call tools has no other form beside")
    return request
