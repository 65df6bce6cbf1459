"""So many clients, each with a picture at a time, streaming, as fast as they are answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from sightline.bench.errors import BenchError
from sightline.bench.serve.subjects import Subject

PATIENCE = 900.0
"""Seconds without a byte after which an answer is given up."""


@dataclass(frozen=True)
class Answer:
    """One request, in seconds from its sending: to the first text, and to the end. `right` by its judge."""

    first: float
    whole: float
    pieces: int
    right: bool


@dataclass(frozen=True)
class Round:
    seconds: float
    answers: tuple[Answer, ...]

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def right(self) -> int:
        return sum(answer.right for answer in self.answers)


def play(
    base: str, subject: Subject, clients: int, requests: int, tokens: int, start: int, **how: Any
) -> Round:
    """One round against the server at `base`; its pictures are numbered from `start`. `how`: what else the
    httpx client is told (headers, verify). Raises BenchError.
    """
    return asyncio.run(_play(base, subject, clients, requests, tokens, start, how))


async def _play(
    base: str, subject: Subject, clients: int, requests: int, tokens: int, start: int, how: dict[str, Any]
) -> Round:
    prepared = [subject.request(start + number, tokens) for number in range(requests)]
    waiting = iter(prepared)
    limits = httpx.Limits(max_connections=clients)
    # One client for all: making one reads every certificate of the system.
    told: dict[str, Any] = {"base_url": base, "timeout": PATIENCE, "limits": limits, "trust_env": False}
    async with httpx.AsyncClient(**told, **how) as session:
        answers: list[Answer] = []

        async def client() -> None:
            for body, judge in waiting:
                answers.append(await ask(session, body, judge))

        began = time.perf_counter()
        try:
            await asyncio.gather(*(client() for _ in range(clients)))
        except httpx.HTTPError as problem:
            raise BenchError(f"{base} broke off: {type(problem).__name__}: {problem}") from problem
        return Round(time.perf_counter() - began, tuple(answers))


async def ask(session: httpx.AsyncClient, body: dict[str, Any], judge: Callable[[str], bool]) -> Answer:
    """One streamed answer. Raises BenchError where there is none."""
    began = time.perf_counter()
    first, text, pieces = 0.0, "", 0
    async with session.stream("POST", "/v1/chat/completions", json=body) as reply:
        if reply.status_code != 200:
            said = (await reply.aread()).decode(errors="replace")
            raise BenchError(f"a request got {reply.status_code}: {said[:300]}")
        async for line in reply.aiter_lines():
            for piece in _text(line):
                first = first or time.perf_counter() - began
                text, pieces = text + piece, pieces + 1
    if not pieces:
        raise BenchError("an answer had no text")
    return Answer(first, time.perf_counter() - began, pieces, judge(text))


def _text(line: str) -> Iterator[str]:
    """The text of one server-sent event, if it has any. Raises BenchError for an error in mid-stream."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return
    event = json.loads(line.removeprefix("data: "))
    if "error" in event:
        raise BenchError(f"an answer ended in an error: {str(event['error'])[:300]}")
    for choice in event.get("choices") or ():
        if piece := (choice.get("delta") or {}).get("content"):
            yield piece
