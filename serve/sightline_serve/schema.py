"""What a chat request may say. What is harmless is ignored; what would change the answer is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sightline_serve import errors
from sightline_serve.errors import ApiError


class Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


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


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


StopString = Annotated[str, Field(min_length=1, max_length=256)]


class StreamOptions(Lenient):
    include_usage: bool | None = None


class ChatRequest(Lenient):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 or -1: off")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stop: Annotated[
        list[StopString] | None,
        Field(max_length=4),
        BeforeValidator(_as_list, json_schema_input_type=str | list[str] | None),
    ] = None
    # Fields that would change the answer and are not built: read only to be refused (see UNSUPPORTED).
    n: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    repetition_penalty: Any = None
    response_format: Any = None
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    modalities: Any = None
    audio: Any = None

    @property
    def token_limit(self) -> int | None:
        """max_completion_tokens, or its older name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


# Field -> (the values that ask for nothing special, what this server does instead).
UNSUPPORTED: dict[str, tuple[list[Any], str]] = {
    "n": ([1], "only n = 1 is served: send the request again for another answer"),
    "logprobs": ([False], "log probabilities are not served"),
    "top_logprobs": ([0], "log probabilities are not served"),
    "logit_bias": ([{}], "logit_bias is not served"),
    "frequency_penalty": ([0], "penalties are not served: leave it out or send 0"),
    "presence_penalty": ([0], "penalties are not served: leave it out or send 0"),
    "repetition_penalty": ([1], "penalties are not served: leave it out or send 1"),
    "response_format": ([{"type": "text"}], "only plain text is served: ask for JSON in the prompt"),
    "tools": ([[]], "tool calls are not served"),
    "tool_choice": (["none", "auto"], "tool calls are not served"),
    "functions": ([[]], "tool calls are not served"),
    "modalities": ([["text"], []], "answers are text only"),
    "audio": ([], "answers are text only"),
}


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`. Raises a 400 ApiError that names the field and says what it should be."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise _readable(error) from None
    for name, (harmless, instead) in UNSUPPORTED.items():
        value = getattr(request, name)
        # `False == 0` in Python, but "n": true is not 1.
        if value is not None and not any(
            (value == fine and type(value) is not bool) or value is fine for fine in harmless
        ):
            raise errors.bad_request(f"Unsupported value for '{name}': {instead}.", name, "unsupported_value")
    return request


def _readable(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return errors.bad_request(f"The body is not valid JSON: {first['msg']}.", code="invalid_json")
    where = _path(first["loc"])
    if not where:
        return errors.bad_request("The body must be a JSON object.", code="invalid_json")
    message = first["msg"].removeprefix("Value error, ")
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return errors.bad_request(f"Invalid '{where}': {message}.{more}", where, "invalid_value")


def _path(loc: tuple[int | str, ...]) -> str:
    """('messages', 0, 'content', 1, 'text', 'text') -> messages[0].content[1].text: the first is a tag."""
    path = ""
    for before, step in zip(("", *loc), loc, strict=False):
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (isinstance(before, int) and step in ("text", "image_url")):
            path += f".{step}" if path else step
    return path
