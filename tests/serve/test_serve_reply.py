"""The two shapes of an answer, event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sightline_serve import errors
from sightline_serve.errors import ApiError
from sightline_serve.logprobs import TokenLogprob
from sightline_serve.reply import ChatReply
from sightline_serve.sequence import Event, Finish, Piece
from sightline_serve.vocabulary import Vocabulary


class Letters(Vocabulary):
    """Token 97 is "a"."""

    def __init__(self) -> None:
        super().__init__(None)

    def bytes_of(self, token: int) -> bytes:
        return bytes([token])


async def events(*given: Event | ApiError | tuple[int, Event]) -> AsyncIterator[tuple[int, Event]]:
    for event in given:
        if isinstance(event, ApiError):
            raise event
        yield event if isinstance(event, tuple) else (0, event)


def reply(choices: int = 1, with_logprobs: bool = False) -> ChatReply:
    return ChatReply("m", Letters(), choices, with_logprobs)


def streamed(
    *given: Event | ApiError | tuple[int, Event], usage: bool = False, made: ChatReply | None = None
) -> list[Any]:
    async def go() -> list[bytes]:
        return [chunk async for chunk in (made or reply()).stream(events(*given), usage)]

    lines = [chunk.decode() for chunk in asyncio.run(go())]
    assert all(line.startswith("data: ") and line.endswith("\n\n") for line in lines)
    data = [line[6:-2] for line in lines]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def test_a_stream_has_a_role_the_pieces_a_reason_and_an_end() -> None:
    *chunks, done = streamed(Piece("ré"), Piece("d\n"), Finish("stop", 5, 2))
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""}, {"content": "ré"}, {"content": "d\n"}, {},
    ]  # fmt: skip
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_comes_last_and_is_null_before() -> None:
    *chunks, last, done = streamed(Piece("x"), Finish("length", 5, 2), usage=True)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)


def test_an_error_in_mid_stream_is_an_event_and_nothing_follows() -> None:
    *chunks, last = streamed(Piece("x"), errors.engine_failed(), usage=True)
    assert len(chunks) == 2
    assert last["error"]["code"] == "engine_failed"


def test_an_error_before_the_end_of_a_whole_answer_is_no_answer() -> None:
    with pytest.raises(ApiError, match="No answer was made up"):
        asyncio.run(reply().whole(events(Piece("x"), errors.engine_failed())))


def test_a_whole_answer() -> None:
    answer = asyncio.run(reply().whole(events(Piece("re"), Piece("d"), Finish("stop", 5, 3))))
    assert answer["choices"][0]["message"]["content"] == "red"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {
        "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 0},
    }  # fmt: skip


def test_choices_are_kept_apart_and_the_prompt_is_counted_once() -> None:
    came: list[tuple[int, Event]] = [
        (1, Piece("x")),
        (0, Piece("a")),
        (1, Finish("length", 5, 1)),
        (0, Piece("b")),
        (0, Finish("stop", 5, 3)),
    ]
    answer = asyncio.run(reply(2).whole(events(*came)))
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in answer["choices"]] == [
        (0, "ab", "stop"),
        (1, "x", "length"),
    ]
    assert answer["usage"]["prompt_tokens"] == 5
    assert answer["usage"]["completion_tokens"] == 4
    *chunks, done = streamed(*came, made=reply(2))
    assert done == "[DONE]"
    for number, text in enumerate(("ab", "x")):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == number]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in own) == text
        assert own[-1]["finish_reason"]


def test_log_probabilities_come_with_their_tokens() -> None:
    a = TokenLogprob(97, -0.5, ((98, -0.25), (97, -0.5)))
    expected = {
        "token": "a", "logprob": -0.5, "bytes": [97],
        "top_logprobs": [
            {"token": "b", "logprob": -0.25, "bytes": [98]}, {"token": "a", "logprob": -0.5, "bytes": [97]},
        ],
    }  # fmt: skip
    broken = TokenLogprob(0xC3, -1.0)
    came = [Piece("a", (a,)), Finish("length", 5, 2, (broken,))]
    answer = asyncio.run(reply(with_logprobs=True).whole(events(*came)))
    assert answer["choices"][0]["logprobs"]["content"] == [
        expected, {"token": "\ufffd", "logprob": -1.0, "bytes": [0xC3], "top_logprobs": []},
    ]  # fmt: skip
    chunks = [chunk["choices"][0] for chunk in streamed(*came, made=reply(with_logprobs=True))[:-1]]
    assert [chunk["logprobs"] and len(chunk["logprobs"]["content"]) for chunk in chunks] == [None, 1, 1]
