"""The answer of /v1/completions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

from sightline_serve.answers import Numbered
from sightline_serve.logprobs import TokenLogprob
from sightline_serve.reply.base import Reply
from sightline_serve.sequence import Failure, Finish, Piece
from sightline_serve.vocabulary import Vocabulary


class CompletionReply(Reply):
    prefix = "cmpl"
    kind = "text_completion"
    chunk_kind = kind

    def __init__(
        self, model: str, vocabulary: Vocabulary, prompts: int, choices: int, with_logprobs: bool
    ) -> None:
        """`choices` of each prompt."""
        super().__init__(model, vocabulary)
        self.count = prompts * choices
        self.shared = choices
        self.with_logprobs = with_logprobs
        self.offsets: dict[int, int] = defaultdict(int)

    async def whole(self, answers: AsyncIterator[Numbered]) -> dict[str, Any]:
        """The `text_completion` object. Raises a choice's ApiError."""
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
            self._choice(number, texts[number], found[number], self.finishes[number].reason)
            for number in range(self.count)
        ]
        return {**self.head, "object": self.kind, "choices": choices, "usage": self.usage()}

    async def chunks(self, answers: AsyncIterator[Numbered]) -> AsyncIterator[dict[str, Any]]:
        async for number, event in answers:
            match event:
                case Piece():
                    yield self._chunk(self._choice(number, event.text, event.logprobs, None))
                case Finish():
                    self.finishes[number] = event
                    yield self._chunk(self._choice(number, "", event.logprobs, event.reason))
                case Failure():
                    pass  # raised by the iteration

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.head, "object": self.kind, "choices": [choice]}

    def _choice(
        self, number: int, text: str, tokens: Iterable[TokenLogprob], reason: str | None
    ) -> dict[str, Any]:
        logprobs = self._logprobs(number, tokens) if self.with_logprobs else None
        return {"index": number, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, number: int, tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
        """Four lists side by side; offsets are in characters of the answer."""
        told: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        for one in tokens:
            text = self._text(one.token)
            told["tokens"].append(text)
            told["token_logprobs"].append(one.logprob)
            told["top_logprobs"].append({self._text(token): value for token, value in one.top})
            told["text_offset"].append(self.offsets[number])
            self.offsets[number] += len(text)
        return told

    def _text(self, token: int) -> str:
        return self.vocabulary.bytes_of(token).decode(errors="replace")
