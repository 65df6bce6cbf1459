from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "stand_ins")]

from fetching import model  # noqa: E402
from hub import Hub  # noqa: E402


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(model()) as running:
        yield running


@pytest.fixture
def mirror() -> Iterator[Hub]:
    """A second place with the same files, that must never see a token."""
    with Hub(model(), trusted=False) as running:
        yield running
        assert running.leaks == []
