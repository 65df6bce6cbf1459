"""What all requests have in common: how they are read, how a refusal reads, and what is asked of sampling."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sightline_serve import errors
from sightline_serve.errors import ApiError

MAX_CHOICES = 128  # OpenAI's own bound for n
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # what may be repeated in a header


class Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def _token_numbers(bias: Any) -> Any:
    """JSON's keys are strings: "1734" is token 1734."""
    if not isinstance(bias, dict):
        return bias
    for key in bias:
        if not (isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10):
            raise ValueError(f"{str(key)[:50]!r} is not a token's number")
    return {int(key): value for key, value in bias.items()}


StopString = Annotated[str, Field(min_length=1, max_length=256)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(Lenient):
    include_usage: bool | None = None


class Request(BaseModel):
    """The body of a request.

    `harmless` are fields that change no answer and are ignored. `unsupported` are those that would, and are
    not built: field -> (the values that ask for nothing special, what this server does instead).
    """

    model_config = ConfigDict(strict=True, extra="allow")
    harmless: ClassVar[frozenset[str]] = frozenset()
    unsupported: ClassVar[dict[str, tuple[list[Any], str]]] = {}

    model: str

    @property
    def ignored(self) -> list[str]:
        """Fields that this server has never heard of; the answer names them in a header."""
        known = self.harmless | self.unsupported.keys()
        unknown = sorted(name for name in self.model_extra or {} if name not in known)
        return [name if NAME.fullmatch(name) else "?" for name in unknown[:20]]


class Sampling(Request):
    """How the tokens of an answer are chosen."""

    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="Answers to one prompt")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 or -1: off")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=10, description="1: off")
    logit_bias: Annotated[
        dict[int, Bias] | None,
        Field(max_length=1024),
        BeforeValidator(_token_numbers, json_schema_input_type=dict[str, Bias] | None),
    ] = None
    stop: Annotated[
        list[StopString] | None,
        Field(max_length=4),
        BeforeValidator(_as_list, json_schema_input_type=str | list[str] | None),
    ] = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def token_limit(self) -> int | None:
        raise NotImplementedError

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens are told beside each; None: no log probabilities at all."""
        return None


AnyRequest = TypeVar("AnyRequest", bound=Request)


def parse(kind: type[AnyRequest], body: bytes) -> AnyRequest:
    """The request in `body`. Raises a 400 ApiError that names the field and says what it should be."""
    try:
        request = kind.model_validate_json(body)
    except ValidationError as error:
        raise _readable(error) from None
    extra = request.model_extra or {}
    for name, (harmless, instead) in kind.unsupported.items():
        value = extra.get(name)
        # `False == 0` in Python, but "n": true is not 1.
        if value is not None and not any(
            (value == fine and type(value) is not bool) or value is fine for fine in harmless
        ):
            raise unsupported(name, instead)
    return request


def unsupported(name: str, instead: str) -> ApiError:
    return errors.bad_request(f"Unsupported value for '{name}': {instead}.", name, "unsupported_value")


def _readable(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return errors.bad_request(f"The body is not valid JSON: {first['msg']}.", code="invalid_json")
    where = _path(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        if first["type"] == "value_error":
            return errors.bad_request(f"{message}.", code="invalid_value")
        return errors.bad_request("The body must be a JSON object.", code="invalid_json")
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return errors.bad_request(f"Invalid '{where}': {message}.{more}", where, "invalid_value")


def _path(loc: tuple[int | str, ...]) -> str:
    """('messages', 0, 'content', 1, 'text', 'text') -> messages[0].content[1].text: the first is a tag."""
    path = ""
    for before, step in zip(("", *loc), loc, strict=False):
        if isinstance(step, int):
            path += f"[{step}]"
        elif not ((isinstance(before, int) and step in TAGS) or (before, step) in TAGGED):
            path += f".{step}" if path else step
    return path


# Kinds of parts and of formats, which pydantic puts into the path where it has chosen one.
TAGS = ("text", "image_url", "input_text", "output_text", "input_image")
TAGGED = {
    (field, kind)
    for field in ("response_format", "format")
    for kind in ("text", "json_object", "json_schema")
}
