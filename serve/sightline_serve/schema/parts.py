"""Messages and the parts of their content."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sightline_serve.detail import Detail
from sightline_serve.schema.base import Lenient
from sightline_serve.schema.tools import ToolCall


class TextPart(Lenient):
    type: Literal["text"]
    text: str


class ImageUrl(Lenient):
    url: str = Field(min_length=1, description="A data URL (data:image/png;base64,...) or an http(s) URL")
    detail: Detail | None = Field(None, description="low: scaled down to fit 512 x 512 pixels")


class ImagePart(Lenient):
    type: Literal["image_url"]
    image_url: Annotated[
        ImageUrl, BeforeValidator(lambda given: {"url": given} if isinstance(given, str) else given)
    ]


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Message(Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[list[Part], BeforeValidator(_as_parts, json_schema_input_type=str | list[Part] | None)]
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = Field(None, description="Ignored: templates do not tell people apart")

    @classmethod
    def of(cls, role: Any, content: list[TextPart | ImagePart]) -> Message:
        return cls(role=role, content=content, name=None)

    @model_validator(mode="before")
    @classmethod
    def _calls_say_nothing(cls, message: Any) -> Any:
        """An assistant that called tools need not have said anything."""
        if isinstance(message, dict) and message.get("role") == "assistant" and message.get("tool_calls"):
            return {**message, "content": message.get("content") or []}
        return message
