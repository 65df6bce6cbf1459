"""Answers as OpenAI writes them: one JSON object, or server-sent events of chunks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from sightline_serve.errors import ApiError
from sightline_serve.sequence import Event, Finish, Piece

DONE = b"data: [DONE]\n\n"


class Reply:
    """One answer's envelope: its id, model and time of birth, the same in every chunk."""

    def __init__(self, model: str) -> None:
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}
        self.finish: Finish | None = None

    async def whole(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        """The `chat.completion` object, once the answer is whole. Raises the generation's ApiError."""
        text = ""
        async for event in events:
            match event:
                case Piece():
                    text += event.text
                case Finish():
                    self.finish = event
        message = {"role": "assistant", "content": text, "refusal": None}
        reason = self.finish.reason if self.finish else None
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage()}

    async def stream(self, events: AsyncIterator[Event], include_usage: bool) -> AsyncIterator[bytes]:
        """Role chunk, text chunks, finish chunk, the usage chunk if asked for, [DONE].

        An error on the way is sent as an event in the error envelope, without [DONE]: the answer is not
        whole.
        """
        empty = {"usage": None} if include_usage else {}
        yield self._chunk({"role": "assistant", "content": ""}, None, empty)
        try:
            async for event in events:
                match event:
                    case Piece():
                        yield self._chunk({"content": event.text}, None, empty)
                    case Finish():
                        self.finish = event
                        yield self._chunk({}, event.reason, empty)
        except ApiError as error:
            yield _event(error.envelope())
            return
        if include_usage:
            yield _event(
                {**self.head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage()}
            )
        yield DONE

    def usage(self) -> dict[str, int] | None:
        if self.finish is None:
            return None
        prompt, completion = self.finish.prompt_tokens, self.finish.completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _chunk(self, delta: dict[str, str], reason: str | None, more: dict[str, None]) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**self.head, "object": "chat.completion.chunk", "choices": [choice], **more})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
