"""The two shapes of an answer, event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sightline_serve import errors
from sightline_serve.errors import ApiError
from sightline_serve.reply import Reply
from sightline_serve.sequence import Event, Finish, Piece


async def events(*given: Event | ApiError) -> AsyncIterator[Event]:
    for event in given:
        if isinstance(event, ApiError):
            raise event
        yield event


def streamed(*given: Event | ApiError, usage: bool = False) -> list[Any]:
    async def go() -> list[bytes]:
        return [chunk async for chunk in Reply("m").stream(events(*given), usage)]

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
        asyncio.run(Reply("m").whole(events(Piece("x"), errors.engine_failed())))


def test_a_whole_answer() -> None:
    answer = asyncio.run(Reply("m").whole(events(Piece("re"), Piece("d"), Finish("stop", 5, 3))))
    assert answer["choices"][0]["message"]["content"] == "red"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
