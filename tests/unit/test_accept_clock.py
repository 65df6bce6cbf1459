"""Clock skew, with the round trip between asking and hearing."""

from __future__ import annotations

import time

import pytest

from sightline.accept.clock import measure, skew
from sightline.accept.sections import Said, Section
from tests.stand_ins.box_shell import BoxShell


def says(text: str) -> Said:
    return Said((Section("clock", text, 0),))


def test_the_middle_of_the_round_trip_is_the_best_guess() -> None:
    found = skew(says("1000.25\n"), before=1000.0, after=1000.5)
    assert found is not None
    assert (found.seconds, found.uncertain) == (0.0, 0.25)


def test_a_clock_in_whole_seconds_is_less_certain() -> None:
    """1000 is any time from 1000 to 1001: half a second more, and half a second less certain."""
    found = skew(says("1000\n"), before=1000.0, after=1000.5)
    assert found is not None
    assert (found.seconds, found.uncertain) == (0.25, 0.75)


@pytest.mark.parametrize("text", ["4600.0\n", "4600\n", "4600%N\n"])
def test_an_hour_ahead(text: str) -> None:
    found = skew(says(text), before=1000.0, after=1000.2)
    assert found is not None
    assert abs(found.seconds - 3600) <= 1
    assert found.seconds - found.uncertain <= 3600 <= found.seconds + found.uncertain + 0.1


@pytest.mark.parametrize("text", ["", "date: not found\n", "-5\n"])
def test_no_time_is_no_skew(text: str) -> None:
    assert skew(says(text), 1.0, 2.0) is None


def test_a_box_with_our_own_clock_has_no_skew() -> None:
    found = measure(BoxShell())
    assert found is not None
    assert abs(found.seconds) <= found.uncertain + 0.001


def test_our_own_clock_an_hour_behind_is_a_box_an_hour_ahead() -> None:
    found = measure(BoxShell(), lambda: time.time() - 3600)
    assert found is not None
    assert abs(found.seconds - 3600) <= found.uncertain + 0.001
