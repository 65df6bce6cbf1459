"""Functions that the model may ask for, and its asking in earlier messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sightline_serve.schema.base import Lenient
from sightline_serve.schema.formats import Name, Schema


class Function(Lenient):
    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = Field(None, description="Arguments always hold to the parameters' schema")


class Tool(Lenient):
    type: Literal["function"]
    function: Function

    def turn(self) -> dict[str, Any]:
        """As chat templates expect it."""
        said = self.function.model_dump(exclude_none=True, exclude={"strict"})
        return {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, **said}}


class NamedFunction(Lenient):
    name: str


class NamedChoice(Lenient):
    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedChoice
Tools = Annotated[list[Tool], Field(max_length=128)]


class Called(Lenient):
    name: str
    arguments: str = Field(description="JSON")


class ToolCall(Lenient):
    id: str
    type: Literal["function"] = "function"
    function: Called
