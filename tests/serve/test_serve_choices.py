"""n, logprobs, penalties and biases with the official client against the real process."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.serve.drawing import ask, data_url
from tests.serve.server_process import ServerProcess

URL = data_url()
# Token 4 is "!", the first of the byte alphabet after four special tokens: 70 is its 67th, "c".
C_TO_N = {str(70 + letter): 60 for letter in range(12)}


def said(server: ServerProcess, **fields: Any) -> list[str | None]:
    request = ask("hello", URL, **{"max_tokens": 12, **fields})
    return [one.message.content for one in server.client().chat.completions.create(**request).choices]


def test_n_answers_read_the_picture_once_and_differ_by_their_seeds(keyed: ServerProcess) -> None:
    name = 'sightline_pictures_total{outcome="taken"}'
    before = keyed.metric(name)
    request = ask("hello", URL, n=4, temperature=1.5, seed=11, max_tokens=12)
    answer = keyed.client().chat.completions.create(**request)
    assert keyed.metric(name) == before + 1
    assert [one.index for one in answer.choices] == [0, 1, 2, 3]
    texts = [one.message.content for one in answer.choices]
    assert len(set(texts)) == 4
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 48
    assert said(keyed, n=4, temperature=1.5, seed=11) == texts
    assert said(keyed, temperature=1.5, seed=11) == texts[:1]
    chunks: dict[int, str] = defaultdict(str)
    usage = None
    for chunk in keyed.client().chat.completions.create(
        **request, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            chunks[choice.index] += choice.delta.content or ""
    assert [chunks[number] for number in range(4)] == texts
    assert usage == answer.usage


def test_log_probabilities_add_up_to_the_text(keyed: ServerProcess) -> None:
    request = ask("hello", URL, max_tokens=10, logprobs=True, top_logprobs=3, seed=1)
    choice = keyed.client().chat.completions.create(**request).choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert len(choice.logprobs.content) == 10
    for one in choice.logprobs.content:
        assert len(one.top_logprobs) == 3
        assert one.logprob <= 0
        # Greedy: the chosen token is the likeliest.
        assert one.logprob == pytest.approx(one.top_logprobs[0].logprob)
    streamed = [
        one
        for chunk in keyed.client().chat.completions.create(**request, stream=True)
        for part in chunk.choices
        if part.logprobs
        for one in part.logprobs.content or []
    ]
    assert [one.token for one in streamed] == [one.token for one in choice.logprobs.content]
    assert [one.logprob for one in streamed] == pytest.approx(
        [one.logprob for one in choice.logprobs.content], abs=1e-5
    )
    letters = keyed.client().chat.completions.create(**request, logit_bias=C_TO_N).choices[0]
    assert letters.logprobs is not None
    assert letters.message.content == "".join(one.token for one in letters.logprobs.content or [])
    assert set(letters.message.content) <= set("cdefghijklmn")
    assert keyed.client().chat.completions.create(**ask("x", max_tokens=2)).choices[0].logprobs is None


def test_wishes_change_their_own_answer_alone(keyed: ServerProcess) -> None:
    """Five in one batch, each as alone."""
    wishes: list[dict[str, Any]] = [
        {"logit_bias": C_TO_N},
        {"logit_bias": C_TO_N, "frequency_penalty": 2.0},
        {"logit_bias": C_TO_N, "presence_penalty": 1.0},
        {"logit_bias": C_TO_N, "extra_body": {"repetition_penalty": 1.8}},
        {"logit_bias": {"70": 100}},
    ]
    alone = [said(keyed, max_tokens=40, **wish) for wish in wishes]
    with ThreadPoolExecutor(5) as clients:
        together = list(clients.map(lambda wish: said(keyed, max_tokens=40, **wish), wishes))
    assert together == alone
    assert len({texts[0] for texts in alone}) == 5
    assert alone[4] == ["c" * 40]


def test_more_answers_than_the_queue_holds_are_refused(keyed: ServerProcess) -> None:
    with pytest.raises(openai.BadRequestError, match="queue holds 64"):
        said(keyed, n=65)


def test_fields_nobody_knows_are_named_in_a_header(keyed: ServerProcess) -> None:
    answer = keyed.post(ask("x", max_tokens=1, user="u", frobnicate=1))
    assert answer.headers["X-Sightline-Ignored"] == "frobnicate"
    assert "X-Sightline-Ignored" not in keyed.post(ask("x", max_tokens=1, user="u")).headers
