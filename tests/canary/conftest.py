"""The committed weights, loaded once."""

from pathlib import Path

import pytest

from canary.evaluate import Answerer

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def weights() -> Path:
    return CHECKOUT / "canary" / "weights"


@pytest.fixture(scope="session")
def canary(weights: Path) -> Answerer:
    return Answerer(weights)
