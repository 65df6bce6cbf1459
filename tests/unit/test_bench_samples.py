"""Medians, spreads and ratios, held against arithmetic by hand."""

from __future__ import annotations

import pytest

from sightline.bench.samples import Samples


def test_the_median_is_not_moved_by_one_slow_round() -> None:
    taken = Samples((2.0, 1.0, 30.0))

    assert (taken.median, taken.low, taken.high) == (2.0, 1.0, 30.0)


def test_ratios_are_of_the_figures_of_the_same_round() -> None:
    # The second round ran on a machine half as fast: the ratio does not see it.
    assert Samples((6.0, 12.0)).over(Samples((2.0, 4.0))) == Samples((3.0, 3.0))


def test_another_number_of_rounds_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Samples((6.0, 12.0, 18.0)).over(Samples((2.0, 4.0)))


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Samples(())


def test_json_has_every_figure() -> None:
    told = Samples((1.23456, 3.0, 2.0)).to_dict(2)

    assert told == {"median": 2.0, "low": 1.23, "high": 3.0, "values": [1.23, 3.0, 2.0]}
