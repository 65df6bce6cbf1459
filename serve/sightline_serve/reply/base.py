"""What all answers have in common: who they are, what they cost, how an event is written."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from sightline_serve.answers import Numbered
from sightline_serve.errors import ApiError
from sightline_serve.sequence import Finish
from sightline_serve.vocabulary import Vocabulary

DONE = b"data: [DONE]\n\n"


class Reply:
    """One answer's envelope: its id, model and time of birth, the same in every chunk."""

    prefix = ""  # of its id
    kind = ""  # of the whole object
    chunk_kind = ""
    shared = 2**31  # how many choices have one prompt

    def __init__(self, model: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.head = {
            "id": f"{self.prefix}-{secrets.token_hex(12)}", "created": int(time.time()), "model": model,
        }  # fmt: skip
        self.finishes: dict[int, Finish] = {}

    async def whole(self, answers: AsyncIterator[Numbered]) -> dict[str, Any]:
        """The one JSON object, once every choice is whole. Raises a choice's ApiError."""
        raise NotImplementedError

    async def chunks(self, answers: AsyncIterator[Numbered]) -> AsyncIterator[dict[str, Any]]:
        """The stream's objects, but for the one of usage."""
        raise NotImplementedError
        yield

    async def stream(self, answers: AsyncIterator[Numbered], include_usage: bool) -> AsyncIterator[bytes]:
        """The chunks, the usage chunk if asked for, [DONE].

        An error on the way is sent as an event in the error envelope, without [DONE]: the answer is not
        whole.
        """
        empty = {"usage": None} if include_usage else {}
        try:
            async for chunk in self.chunks(answers):
                yield event({**chunk, **empty})
        except ApiError as error:
            yield event(error.envelope())
            return
        if include_usage:
            yield event({**self.head, "object": self.chunk_kind, "choices": [], "usage": self.usage()})
        yield DONE

    @property
    def tokens(self) -> tuple[int, int] | None:
        """Of the prompts, which choices share, and of all choices; None before the first is whole."""
        if not self.finishes:
            return None
        prompts = {number // self.shared: one.prompt_tokens for number, one in self.finishes.items()}
        return sum(prompts.values()), sum(one.completion_tokens for one in self.finishes.values())

    def usage(self) -> dict[str, Any] | None:
        if self.tokens is None:
            return None
        prompt, completion = self.tokens
        cached = max(finish.cached_tokens for finish in self.finishes.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


def event(data: dict[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
