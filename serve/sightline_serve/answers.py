"""The answers to one request, as they come side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from sightline_serve.errors import ApiError
from sightline_serve.scheduler import Generation
from sightline_serve.sequence import Event

Numbered = tuple[int, Event]  # which answer, counted from 0, and what came


class Answers:
    """Iterate over it for (number, event); the first failure is raised as its ApiError and ends them all."""

    def __init__(self, generations: Sequence[Generation]) -> None:
        self.generations = generations

    async def __aiter__(self) -> AsyncIterator[Numbered]:
        if len(self.generations) == 1:
            async for event in self.generations[0]:
                yield 0, event
            return
        came: asyncio.Queue[Numbered | ApiError | None] = asyncio.Queue()
        pumps = [asyncio.create_task(_pump(*pair, came)) for pair in enumerate(self.generations)]
        try:
            left = len(pumps)
            while left:
                match await came.get():
                    case None:
                        left -= 1
                    case ApiError() as error:
                        raise error
                    case numbered:
                        yield numbered
        finally:
            for pump in pumps:
                pump.cancel()

    def cancel(self) -> None:
        """Frees the places of all. Harmless after the end."""
        for generation in self.generations:
            generation.cancel()


async def _pump(number: int, generation: Generation, came: asyncio.Queue[Numbered | ApiError | None]) -> None:
    try:
        async for event in generation:
            came.put_nowait((number, event))
        came.put_nowait(None)
    except ApiError as error:
        came.put_nowait(error)
