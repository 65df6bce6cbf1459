"""The body of POST /v1/completions: a text to go on with, no chat template and no pictures."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from sightline_serve.schema import fields
from sightline_serve.schema.base import Sampling, StreamOptions

MAX_PROMPTS = 64
DEFAULT_TOKENS = 16  # OpenAI's, for this route


def _as_list(prompt: Any) -> Any:
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, list) and any(isinstance(one, int | list) for one in prompt):
        raise ValueError("this server takes text, not token numbers")
    return prompt


class CompletionRequest(Sampling):
    harmless: ClassVar[frozenset[str]] = fields.HARMLESS
    unsupported: ClassVar[fields.Refusals] = {
        **fields.EXTENSIONS,
        "echo": ([False], "the prompt is not repeated: put it before the answer"),
        "suffix": ([""], "text is only added at the end"),
    }

    prompt: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(min_length=1, max_length=MAX_PROMPTS),
        BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    ]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, description="16 if left out")
    logprobs: int | None = Field(None, ge=0, le=5)

    @property
    def token_limit(self) -> int | None:
        return self.max_tokens or DEFAULT_TOKENS

    @property
    def likeliest(self) -> int | None:
        return self.logprobs
