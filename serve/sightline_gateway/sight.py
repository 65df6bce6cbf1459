"""One round of questions to one replica: two pictures of two colours, so that no constant answer passes."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from enum import Enum

import httpx

from sightline_gateway.pictures import COLOURS, draw, names, request_body
from sightline_gateway.settings import Replica


class Sight(Enum):
    """What a round showed. AWAY: no usable answer came; BUSY: too busy, which tells nothing."""

    SEES = "sees"
    BLIND = "blind"
    AWAY = "away"
    BUSY = "busy"


@dataclass(frozen=True)
class Round:
    sight: Sight
    said: str


async def look(
    client: httpx.AsyncClient, replica: Replica, key: str, timeout: float, rng: random.Random
) -> Round:
    """Ask `replica` about two pictures at once, each within `timeout` seconds."""
    colours = rng.sample(list(COLOURS), 2)
    rounds = await asyncio.gather(
        *(_ask(client, replica, key, timeout, colour, draw(colour, rng)) for colour in colours)
    )
    worst = (Sight.AWAY, Sight.BLIND, Sight.BUSY, Sight.SEES)
    return min(rounds, key=lambda found: worst.index(found.sight))


async def _ask(
    client: httpx.AsyncClient, replica: Replica, key: str, timeout: float, colour: str, png: bytes
) -> Round:
    try:
        answer = await client.post(
            f"{replica.url}/chat/completions",
            json=request_body(replica.model, png),
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        )
    except httpx.ConnectTimeout:
        return Round(Sight.AWAY, "no connection within 5 s")
    except httpx.TimeoutException:
        return Round(Sight.BUSY, f"no answer within {timeout:g} s")
    except httpx.HTTPError as problem:
        return Round(Sight.AWAY, f"no answer: {problem or type(problem).__name__}")
    if answer.status_code == 429:
        return Round(Sight.BUSY, "answered 429")
    if answer.status_code != 200:
        return Round(Sight.AWAY, f"answered {answer.status_code}")
    try:
        said = str(answer.json()["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError):
        return Round(Sight.AWAY, "answered 200 without a chat completion")
    if names(said) == {colour}:
        return Round(Sight.SEES, f"called {colour} {colour}")
    return Round(Sight.BLIND, f"said {said.strip()[:60]!r} of a {colour} shape")
