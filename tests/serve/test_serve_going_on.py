"""Requests sent back for want of memory go on exactly: draws, penalties, schemas and log probabilities."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.test_serve_formats import CHART, form

# 260 tokens and more: what a request holds grows over the cache's blocks of 256 while it runs.
WISHES: list[dict[str, Any]] = [
    {"max_tokens": 400, "temperature": 1.2, "seed": 1},
    {"max_tokens": 400, "frequency_penalty": 0.7, "presence_penalty": 0.3},
    {"max_tokens": 400, "extra_body": {"repetition_penalty": 1.5}},
    {"max_tokens": 700, "temperature": 1.0, "seed": 2, "response_format": form(CHART)},
    {"max_tokens": 400, "logprobs": True, "top_logprobs": 2},
    {"max_tokens": 400, "temperature": 1.5, "seed": 3, "n": 2},
]


def test_preempted_answers_are_the_answers_given_alone(
    start: Callable[..., ServerProcess], tiny: Path
) -> None:
    # Two layers, 64 wide, in float32: 1 KiB a token. 1.5 MiB hold two rows of 512 tokens and little more.
    server = start(tiny, "--kv-cache-mib", "1.5")
    requests = [
        ask("hello", data_url(encoded(disc(colour))), **wish)
        for wish, colour in zip(WISHES, ("red", "blue", "green", "black", "pink", "orange"), strict=True)
    ]

    def said(request: dict[str, Any]) -> list[Any]:
        choices = server.client().chat.completions.create(**request).choices
        tokens = [
            [one.token for one in choice.logprobs.content or []] if choice.logprobs else []
            for choice in choices
        ]
        return [[choice.message.content, choice.finish_reason] for choice in choices] + tokens

    alone = [said(request) for request in requests]
    before = server.metric("sightline_preempted_total")
    with ThreadPoolExecutor(len(requests)) as clients:
        together = list(clients.map(said, requests))
    assert server.metric("sightline_preempted_total") > before  # else this shows nothing
    assert together == alone
