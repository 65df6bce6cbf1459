"""Penalties and biases against arithmetic by hand."""

from __future__ import annotations

import pytest
import torch
from sightline_serve.sampling import Sampler, SamplingParams

ROW = torch.tensor([2.0, 1.0, -1.0, 0.0])


def scores(drawn: list[int], prompt: tuple[int, ...] = (), **wishes: float) -> list[float]:
    """What is left of ROW after these tokens were drawn."""
    sampler = Sampler(SamplingParams(9, **wishes), prompt)  # type: ignore[arg-type]
    for token in drawn:
        only = torch.zeros(4, dtype=torch.bool)
        only[token] = True
        assert sampler(ROW, only) == token
    return [round(value, 4) for value in sampler._reshaped(ROW).tolist()]


def test_frequency_counts_and_presence_does_not() -> None:
    # Token 0 twice, token 3 once: mu - c * alpha.
    assert scores([0, 0, 3], frequency_penalty=0.5) == [1.0, 1.0, -1.0, -0.5]
    assert scores([0, 0, 3], presence_penalty=0.5) == [1.5, 1.0, -1.0, -0.5]
    assert scores([0, 0, 3], frequency_penalty=0.25, presence_penalty=-1) == [2.5, 1.0, -1.0, 0.75]


def test_neither_looks_at_the_prompt_and_repetition_does() -> None:
    assert scores([], (0, 2), frequency_penalty=2.0, presence_penalty=2.0) == ROW.tolist()
    # Positive scores are divided, negative ones multiplied, each once however often.
    assert scores([], (0, 0, 2), repetition_penalty=2.0) == [1.0, 1.0, -2.0, 0.0]
    assert scores([1, 1], (0,), repetition_penalty=2.0) == [1.0, 0.5, -1.0, 0.0]


def test_biases_are_added_and_numbers_beyond_the_logits_are_left_out() -> None:
    sampler = Sampler(SamplingParams(9, logit_bias={2: 100.0, 0: -100.0, 7: 5.0}))
    assert sampler._reshaped(ROW).tolist() == [-98.0, 1.0, 99.0, 0.0]
    assert sampler(ROW) == 2
    assert Sampler(SamplingParams(9, repetition_penalty=2.0), (99,))(ROW) == 0
    assert ROW.tolist() == [2.0, 1.0, -1.0, 0.0]  # rows are views of the batch


def test_greedy_answers_turn_when_the_penalty_reaches_the_second() -> None:
    # 2.0 - 0.6 c for token 0 against 1.0 for token 1: 0 wins at c = 0 and 1, then they take turns.
    sampler = Sampler(SamplingParams(9, frequency_penalty=0.6))
    assert [sampler(ROW) for _ in range(4)] == [0, 0, 1, 0]


def test_what_is_not_allowed_is_never_drawn() -> None:
    allowed = torch.tensor([False, False, True, False])
    for temperature in (0.0, 1.0):
        sampler = Sampler(SamplingParams(9, temperature=temperature, top_k=3, logit_bias={0: 100.0}))
        assert [sampler(ROW, allowed) for _ in range(5)] == [2] * 5


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_each_choice_has_a_seed_of_its_own_and_the_first_the_requests(seed: int) -> None:
    params = SamplingParams(9, temperature=1.0, seed=seed)
    assert params.for_choice(0) is params
    seeds = [params.for_choice(number).seed for number in range(50)]
    assert len(set(seeds)) == 50
    assert seeds == [params.for_choice(number).seed for number in range(50)]
    assert SamplingParams(9).for_choice(3).seed is None
