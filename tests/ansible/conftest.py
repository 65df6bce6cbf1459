"""A fresh clone for the tests of a session."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator

import pytest

from tests.ansible.clones import Clone, copy_checkout, free_port


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone; whatever still runs from it at the end is stopped by its pid."""
    made = Clone(copy_checkout(tmp_path_factory.mktemp("clone")), free_port())
    yield made
    for line in made.processes():
        os.kill(int(line.split()[0]), signal.SIGTERM)
    deadline = time.monotonic() + 20
    while made.processes() and time.monotonic() < deadline:
        time.sleep(0.2)
    shutil.rmtree(made.path, ignore_errors=True)
