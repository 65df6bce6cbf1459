"""The answer of /v1/chat/completions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

from sightline_serve.answers import Numbered
from sightline_serve.logprobs import TokenLogprob
from sightline_serve.reply.base import Reply
from sightline_serve.sequence import Failure, Finish, Piece
from sightline_serve.vocabulary import Vocabulary


class ChatReply(Reply):
    prefix = "chatcmpl"
    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def __init__(
        self, model: str, vocabulary: Vocabulary, choices: int = 1, with_logprobs: bool = False
    ) -> None:
        super().__init__(model, vocabulary)
        self.choices = choices
        self.with_logprobs = with_logprobs

    async def whole(self, answers: AsyncIterator[Numbered]) -> dict[str, Any]:
        """The `chat.completion` object. Raises a choice's ApiError."""
        texts: dict[int, str] = defaultdict(str)
        found: dict[int, list[TokenLogprob]] = defaultdict(list)
        async for number, event in answers:
            match event:
                case Piece():
                    texts[number] += event.text
                    found[number] += event.logprobs
                case Finish():
                    self.finishes[number] = event
                    found[number] += event.logprobs
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": texts[number], "refusal": None},
                "logprobs": self._logprobs(found[number]),
                "finish_reason": self.finishes[number].reason,
            }
            for number in range(self.choices)
        ]
        return {**self.head, "object": self.kind, "choices": choices, "usage": self.usage()}

    async def chunks(self, answers: AsyncIterator[Numbered]) -> AsyncIterator[dict[str, Any]]:
        """For each choice a role chunk, text chunks and a finish chunk."""
        for number in range(self.choices):
            yield self._chunk(number, {"role": "assistant", "content": ""})
        async for number, event in answers:
            match event:
                case Piece():
                    yield self._chunk(number, {"content": event.text}, event.logprobs)
                case Finish():
                    self.finishes[number] = event
                    yield self._chunk(number, {}, event.logprobs, event.reason)
                case Failure():
                    pass  # raised by the iteration

    def _chunk(
        self,
        number: int,
        delta: dict[str, Any],
        logprobs: Iterable[TokenLogprob] = (),
        reason: str | None = None,
    ) -> dict[str, Any]:
        told = list(logprobs)
        choice = {
            "index": number,
            "delta": delta,
            "logprobs": self._logprobs(told) if told else None,
            "finish_reason": reason,
        }
        return {**self.head, "object": self.chunk_kind, "choices": [choice]}

    def _logprobs(self, tokens: Iterable[TokenLogprob]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        return {"content": chat_logprobs(tokens, self.vocabulary), "refusal": None}


def chat_logprobs(tokens: Iterable[TokenLogprob], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    def entry(token: int, value: float) -> dict[str, Any]:
        raw = vocabulary.bytes_of(token)
        return {"token": raw.decode(errors="replace"), "logprob": value, "bytes": list(raw)}

    return [
        {**entry(one.token, one.logprob), "top_logprobs": [entry(*likely) for likely in one.top]}
        for one in tokens
    ]
