"""The answer of /v1/chat/completions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

from sightline_serve.answers import Numbered
from sightline_serve.logprobs import TokenLogprob
from sightline_serve.reply.base import Reply
from sightline_serve.sequence import Failure, Finish, Piece
from sightline_serve.tools import Call, Reader, Style
from sightline_serve.vocabulary import Vocabulary


class Choice:
    """One answer as it grows."""

    def __init__(self, number: int, reader: Reader | None) -> None:
        self.number = number
        self.reader = reader
        self.text = ""
        self.calls: list[dict[str, Any]] = []

    def take(self, text: str) -> list[dict[str, Any]]:
        """The deltas that this text makes."""
        return self._told(self.reader.push(text) if self.reader else [text])

    def end(self) -> list[dict[str, Any]]:
        return self._told(self.reader.flush() if self.reader else [])

    def _told(self, parts: list[str | Call]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Call):
                said = part.said()
                deltas.append({"tool_calls": [{"index": len(self.calls), **said}]})
                self.calls.append(said)
            else:
                self.text += part
                deltas.append({"content": part})
        return deltas

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.calls:
            message |= {"content": self.text or None, "tool_calls": self.calls}
        return message

    def reason(self, finish: Finish) -> str:
        return "tool_calls" if self.calls and finish.reason == "stop" else finish.reason


class ChatReply(Reply):
    prefix = "chatcmpl"
    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def __init__(
        self,
        model: str,
        vocabulary: Vocabulary,
        choices: int = 1,
        with_logprobs: bool = False,
        tools: Style | None = None,
    ) -> None:
        """`tools`: how the model writes a tool call, where it may."""
        super().__init__(model, vocabulary)
        self.choices = [Choice(number, Reader(tools) if tools else None) for number in range(choices)]
        self.with_logprobs = with_logprobs

    async def whole(self, answers: AsyncIterator[Numbered]) -> dict[str, Any]:
        """The `chat.completion` object. Raises a choice's ApiError."""
        found: dict[int, list[TokenLogprob]] = defaultdict(list)
        async for number, event in answers:
            match event:
                case Piece():
                    self.choices[number].take(event.text)
                    found[number] += event.logprobs
                case Finish():
                    self.finishes[number] = event
                    self.choices[number].end()
                    found[number] += event.logprobs
        choices = [
            {
                "index": choice.number,
                "message": choice.message(),
                "logprobs": self._logprobs(found[choice.number]),
                "finish_reason": choice.reason(self.finishes[choice.number]),
            }
            for choice in self.choices
        ]
        return {**self.head, "object": self.kind, "choices": choices, "usage": self.usage()}

    async def chunks(self, answers: AsyncIterator[Numbered]) -> AsyncIterator[dict[str, Any]]:
        """For each choice a role chunk, chunks of text and of calls, and a finish chunk."""
        for choice in self.choices:
            yield self._chunk(choice.number, {"role": "assistant", "content": ""})
        async for number, event in answers:
            choice = self.choices[number]
            match event:
                case Piece():
                    deltas = choice.take(event.text)
                    told = event.logprobs
                    for delta in deltas or ([{}] if told else []):
                        yield self._chunk(number, delta, told)
                        told = ()
                case Finish():
                    self.finishes[number] = event
                    for delta in choice.end():
                        yield self._chunk(number, delta)
                    yield self._chunk(number, {}, event.logprobs, choice.reason(event))
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
