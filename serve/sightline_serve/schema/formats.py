"""The form that an answer must have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sightline_serve.schema.base import Lenient

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Schema = dict[str, Any]


class AsText(Lenient):
    type: Literal["text"]


class AsObject(Lenient):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Lenient):
    name: Name
    schema_: Schema = Field(alias="schema")
    description: str | None = Field(None, description="Ignored: say it in the prompt")
    strict: bool | None = Field(None, description="Answers always hold to the schema")


class AsSchema(Lenient):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[AsText | AsObject | AsSchema, Field(discriminator="type")]
