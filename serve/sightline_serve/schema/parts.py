"""Messages and the parts of their content."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sightline_serve.schema.base import Lenient


class TextPart(Lenient):
    type: Literal["text"]
    text: str


class ImageUrl(Lenient):
    url: str = Field(min_length=1, description="A data URL (data:image/png;base64,...) or an http(s) URL")
    detail: str | None = Field(None, description="Accepted; has no effect yet")


class ImagePart(Lenient):
    type: Literal["image_url"]
    image_url: Annotated[
        ImageUrl, BeforeValidator(lambda given: {"url": given} if isinstance(given, str) else given)
    ]


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Message(Lenient):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_as_parts, json_schema_input_type=str | list[Part])]
