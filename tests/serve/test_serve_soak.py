"""The soak in short, and that it finds a server that mixes requests up, or grows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve.server_process import ServerProcess
from tests.serve.soak import soak
from tests.serve.soak_memory import flat

Start = Callable[..., ServerProcess]
# All answers but a few of the canary's are right when asked alone; numbers are what it finds hardest.
MISREAD = 6


def test_a_short_soak_finds_nothing(start: Start, canary: Path) -> None:
    found = soak(start(canary, "--vision-cache-mib", "2"), requests=200, clients=8, seed=7)
    assert found["sound"], found
    assert sum(found["requests"].values()) == 200
    assert found["misread_alone"] <= MISREAD, found


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rows", "pictures"])
def test_a_server_that_mixes_requests_up_is_found_out(start: Start, canary: Path, what: str) -> None:
    server = start(canary, module=("tests.serve.mixing_server", what))
    found = soak(server, requests=100, clients=8, seed=7)
    assert not found["sound"]
    assert found["wrong"] > 0


def test_memory_that_grows_is_not_flat() -> None:
    assert flat([300, 500, 510, 505])
    assert flat([300, 500, 557, 557])  # 500 * 1.05 + 32 = 557
    assert not flat([300, 500, 540, 558])


@pytest.mark.slow
def test_three_thousand_requests() -> None:
    """Ten thousand are a command by hand: python -m tests.serve.soak --requests 10000 (docs/measured.md)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.serve.soak", "--requests", "3000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
