"""The body of POST /v1/responses: text and pictures, nothing stored."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from sightline_serve.detail import Detail
from sightline_serve.schema import fields
from sightline_serve.schema.base import Lenient, Sampling, parse, unsupported
from sightline_serve.schema.formats import (
    AsObject,
    AsSchema,
    AsText,
    Name,
    NamedSchema,
    ResponseFormat,
    Schema,
)
from sightline_serve.schema.parts import ImagePart, ImageUrl, Message, TextPart

LOGPROBS = "message.output_text.logprobs"
_STORED = "nothing is stored here: send the whole conversation as input"


class InputText(Lenient):
    type: Literal["input_text", "output_text"]
    text: str

    def part(self) -> TextPart:
        return TextPart(type="text", text=self.text)


class InputImage(Lenient):
    type: Literal["input_image"]
    image_url: str = Field(min_length=1, description="A data URL or an http(s) URL; files are not kept here")
    detail: Detail | None = None

    def part(self) -> ImagePart:
        return ImagePart(type="image_url", image_url=ImageUrl(url=self.image_url, detail=self.detail))


InputPart = Annotated[InputText | InputImage, Field(discriminator="type")]


def _as_parts(content: Any) -> Any:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


class InputMessage(Lenient):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[InputPart], BeforeValidator(_as_parts, json_schema_input_type=str | list[InputPart])
    ]

    def message(self) -> Message:
        return Message.of(self.role, [part.part() for part in self.content])


class FlatSchema(Lenient):
    type: Literal["json_schema"]
    name: Name
    schema_: Schema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextOptions(Lenient):
    format: Annotated[AsText | AsObject | FlatSchema, Field(discriminator="type")] | None = None
    verbosity: Literal["medium"] | None = None


def _as_messages(given: Any) -> Any:
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


class ResponsesRequest(Sampling):
    harmless: ClassVar[frozenset[str]] = (
        fields.HARMLESS
        | fields.REASONING
        | {"parallel_tool_calls", "max_tool_calls", "stream_options", "access_programs"}
    )
    unsupported: ClassVar[fields.Refusals] = {
        **fields.EXTENSIONS,
        "previous_response_id": ([], _STORED),
        "conversation": ([], _STORED),
        "prompt": ([], _STORED),
        "background": ([False], _STORED),
        "tools": ([[]], "this route has no tools: /v1/chat/completions has functions"),
        "tool_choice": (["none", "auto"], "this route has no tools: /v1/chat/completions has functions"),
        "truncation": (["disabled"], "a prompt that is too long is refused, not cut"),
        "context_management": ([[]], "a prompt that is too long is refused, not cut"),
        "moderation": ([], "answers are not moderated here"),
        "image": ([], "answers are text only"),
    }

    input: Annotated[
        list[InputMessage],
        Field(min_length=1),
        BeforeValidator(_as_messages, json_schema_input_type=str | list[InputMessage]),
    ]
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    text: TextOptions | None = None
    stream: bool | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @property
    def token_limit(self) -> int | None:
        return self.max_output_tokens

    @property
    def likeliest(self) -> int | None:
        wanted = self.top_logprobs is not None or LOGPROBS in (self.include or [])
        return (self.top_logprobs or 0) if wanted else None

    @property
    def form(self) -> ResponseFormat | None:
        """As the chat route has it."""
        found = self.text.format if self.text else None
        if isinstance(found, FlatSchema):
            named = NamedSchema(name=found.name, schema=found.schema_, description=None, strict=None)
            return AsSchema(type="json_schema", json_schema=named)
        return found


def parse_responses(body: bytes) -> ResponsesRequest:
    request = parse(ResponsesRequest, body)
    if request.choices > 1:
        raise unsupported("n", "this route gives one answer: /v1/chat/completions has n")
    return request
