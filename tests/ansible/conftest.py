"""A fresh clone for the tests of a session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.ansible.clones import Clone, cloned


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone; whatever still runs from it at the end is stopped by its pid."""
    with cloned(tmp_path_factory.mktemp("clone"), own_environments=True) as made:
        yield made
    shutil.rmtree(made.path, ignore_errors=True)
