"""Requests' bodies are bounded: LiteLLM reads whatever comes, and holds all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]


class TooLarge(Exception):
    """A body over the limit; nothing of it is held any more."""


async def whole_body(scope: Message, receive: Receive, most: int) -> Receive:
    """Reads an HTTP request's body, up to `most` bytes, and returns a `receive` that gives it out again.

    What comes after the body (that the client has gone) is passed on as it comes. A body that is announced as
    larger is not read at all. Raises TooLarge.
    """
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > most:
        raise TooLarge
    messages: deque[Message] = deque()
    size, more = 0, True
    while more:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > most:
            raise TooLarge
        more = bool(message.get("more_body"))

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again
