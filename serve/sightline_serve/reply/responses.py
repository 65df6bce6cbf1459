"""The answer of /v1/responses, and its stream of named events."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from sightline_serve.answers import Numbered
from sightline_serve.errors import ApiError
from sightline_serve.logprobs import TokenLogprob
from sightline_serve.reply.base import Reply, event
from sightline_serve.reply.chat import chat_logprobs
from sightline_serve.sequence import Failure, Finish, Piece
from sightline_serve.vocabulary import Vocabulary


class ResponsesReply(Reply):
    prefix = "resp"
    kind = "response"

    def __init__(self, model: str, vocabulary: Vocabulary, echo: dict[str, Any], with_logprobs: bool) -> None:
        """`echo`: fields of the request that the answer repeats."""
        super().__init__(model, vocabulary)
        self.echo = echo
        self.with_logprobs = with_logprobs
        self.item = f"msg_{secrets.token_hex(12)}"
        self.text = ""
        self.logprobs: list[TokenLogprob] = []
        self.number = 0  # of the next event

    async def whole(self, answers: AsyncIterator[Numbered]) -> dict[str, Any]:
        """The `response` object. Raises the answer's ApiError."""
        async for _, came in answers:
            self._take(came)
        return self.response()

    async def stream(self, answers: AsyncIterator[Numbered], include_usage: bool) -> AsyncIterator[bytes]:
        """Events as OpenAI's reference orders them; an error ends the stream with an `error` event."""
        yield self._event("created", response=self.response("in_progress"))
        yield self._event("in_progress", response=self.response("in_progress"))
        place = {"output_index": 0}
        yield self._event("output_item.added", **place, item=self._message("in_progress", []))
        place |= {"content_index": 0}
        inside = {"item_id": self.item, **place}
        yield self._event("content_part.added", **inside, part=self._part("", []))
        try:
            async for _, came in answers:
                self._take(came)
                if isinstance(came, Piece):
                    yield self._event(
                        "output_text.delta",
                        **inside,
                        delta=came.text,
                        logprobs=self._told(list(came.logprobs)),
                    )
        except ApiError as error:
            said = error.envelope()["error"]
            told = {"code": said["code"], "message": said["message"], "param": said["param"]}
            yield event({"type": "error", "sequence_number": self.number, **told}, "error")
            return
        yield self._event("output_text.done", **inside, text=self.text, logprobs=self._told(self.logprobs))
        yield self._event("content_part.done", **inside, part=self._part(self.text, self.logprobs))
        done = self.response()
        yield self._event("output_item.done", output_index=0, item=done["output"][0])
        yield self._event(done["status"], response=done)

    def response(self, status: str | None = None) -> dict[str, Any]:
        """The object as it stands; the status of a whole answer is by why it ended."""
        cut = bool(self.finishes) and self.finishes[0].reason == "length"
        status = status or ("incomplete" if cut else "completed")
        whole = bool(self.finishes)
        part = [self._part(self.text, self.logprobs)]
        return {
            "id": self.head["id"], "object": self.kind, "created_at": self.head["created"], "status": status,
            "completed_at": int(time.time()) if status == "completed" else None, "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "model": self.head["model"], "output": [self._message(status, part)] if whole else [],
            "usage": self.usage(), "background": False, "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "tool_choice": "auto", "tools": [], "truncation": "disabled", **self.echo,
        }  # fmt: skip

    def usage(self) -> dict[str, Any] | None:
        said = super().usage()
        if said is None:
            return None
        return {
            "input_tokens": said["prompt_tokens"],
            "input_tokens_details": {**said["prompt_tokens_details"], "cache_write_tokens": 0},
            "output_tokens": said["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said["total_tokens"],
        }

    def _take(self, came: Piece | Finish | Failure) -> None:
        match came:
            case Piece():
                self.text += came.text
                self.logprobs += came.logprobs
            case Finish():
                self.finishes[0] = came
                self.logprobs += came.logprobs

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _part(self, text: str, logprobs: list[TokenLogprob]) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self._told(logprobs)}

    def _told(self, logprobs: list[TokenLogprob]) -> list[dict[str, Any]]:
        return chat_logprobs(logprobs, self.vocabulary) if self.with_logprobs else []

    def _event(self, name: str, **fields: Any) -> bytes:
        kind = f"response.{name}"
        made = event({"type": kind, "sequence_number": self.number, **fields}, kind)
        self.number += 1
        return made
