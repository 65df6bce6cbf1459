"""Sampling against distributions worked out by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sightline_serve.sampling import Sampler, SamplingParams, distribution

# Four tokens with probabilities 0.5, 0.3, 0.15, 0.05 at temperature 1.
KNOWN = [0.5, 0.3, 0.15, 0.05]
LOGITS = torch.tensor(KNOWN).log()


def params(**fields: float) -> SamplingParams:
    return SamplingParams(max_tokens=1, **{"temperature": 1.0, **fields})  # type: ignore[arg-type]


def left(**fields: float) -> list[float]:
    return [round(p, 4) for p in distribution(LOGITS, params(**fields)).tolist()]


def test_no_filter_is_the_models_own_distribution() -> None:
    assert left() == KNOWN


def test_temperature_sharpens_and_flattens() -> None:
    # p^(1/T), normalised: T = 0.5 squares; T = 2 takes roots.
    squares = [p**2 for p in KNOWN]
    roots = [math.sqrt(p) for p in KNOWN]
    assert left(temperature=0.5) == [round(s / sum(squares), 4) for s in squares]
    assert left(temperature=2) == [round(r / sum(roots), 4) for r in roots]


def test_top_k_keeps_the_k_likeliest() -> None:
    assert left(top_k=1) == [1, 0, 0, 0]
    assert left(top_k=2) == [0.625, 0.375, 0, 0]
    assert left(top_k=9) == KNOWN


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.001, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4)]
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p: float, kept: int) -> None:
    expected = [p / sum(KNOWN[:kept]) for p in KNOWN[:kept]] + [0.0] * (4 - kept)
    assert left(top_p=top_p) == [round(p, 4) for p in expected]


def test_min_p_drops_what_is_far_below_the_likeliest() -> None:
    # The floor is min_p x 0.5.
    assert left(min_p=0.2) == [round(p / 0.95, 4) for p in KNOWN[:3]] + [0]
    assert left(min_p=0.5) == [0.625, 0.375, 0, 0]
    assert left(min_p=1) == [1, 0, 0, 0]


def test_order_of_the_vocabulary_does_not_matter() -> None:
    turned = distribution(LOGITS.flip(0), params(top_p=0.8, top_k=3, min_p=0.1)).flip(0)
    assert torch.allclose(turned, distribution(LOGITS, params(top_p=0.8, top_k=3, min_p=0.1)))


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40),
    st.floats(0.01, 2),
    st.floats(0.01, 1),
    st.integers(0, 50),
    st.floats(0, 1),
)
def test_what_is_left_is_always_a_distribution(
    logits: list[float], temperature: float, top_p: float, top_k: int, min_p: float
) -> None:
    row = torch.tensor(logits)
    left = distribution(row, params(temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p))
    assert torch.isfinite(left).all()
    assert left.sum().item() == pytest.approx(1, abs=1e-5)
    # The likeliest stays the likeliest, up to float32's idea of a tie.
    assert row[left.argmax()].item() == pytest.approx(row.max().item(), abs=1e-4)


def test_draws_follow_the_distribution() -> None:
    sampler = Sampler(params(seed=7))
    counts = Counter(sampler(LOGITS) for _ in range(4000))
    for token, probability in enumerate(KNOWN):
        # Four standard deviations of a binomial share.
        assert counts[token] / 4000 == pytest.approx(
            probability, abs=4 * math.sqrt(probability * (1 - probability) / 4000)
        )


def draws(seed: int | None) -> list[int]:
    sampler = Sampler(SamplingParams(1, temperature=1, seed=seed))
    return [sampler(torch.zeros(1000)) for _ in range(20)]


@pytest.mark.parametrize("seed", [0, 1, -5, 2**63, 2**64 - 1])
def test_a_seed_decides_and_no_seed_does_not(seed: int) -> None:
    assert draws(seed) == draws(seed)
    assert draws(seed) != draws(seed + 1 if seed < 2**63 else 3)
    assert draws(None) != draws(None)


def test_a_requests_draws_do_not_depend_on_its_neighbours() -> None:
    one, other = Sampler(params(seed=1)), Sampler(params(seed=2))
    alone = Sampler(params(seed=1))
    mixed = []
    for _ in range(20):
        mixed.append(one(LOGITS))
        other(LOGITS)
    assert mixed == [alone(LOGITS) for _ in range(20)]


def test_temperature_zero_and_next_to_zero_are_greedy() -> None:
    for temperature in (0.0, 1e-30):
        assert Sampler(params(temperature=temperature))(torch.tensor([1.0, 3.0, 2.0])) == 1
