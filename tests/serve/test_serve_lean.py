"""What the server does without: each seen in a process of its own, with and without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.serve.server_process import environment

LOADED = "import httpx; httpx.Client(); print('rich.console' in sys.modules)"
# glibc maps a further heap at a multiple of 64 MiB (HEAP_MAX_SIZE); each thread holds what it took.
HEAPS = """
import re, threading, time
taken = [threading.Thread(target=lambda: (bytes(100_000), time.sleep(0.2))) for _ in range(4)]
[thread.start() for thread in taken]
time.sleep(0.1)
starts = [int(line.split("-")[0], 16) for line in open("/proc/self/maps") if len(line.split()) == 5]
print(any(start % 2**26 == 0 for start in starts))
[thread.join() for thread in taken]
"""


@pytest.mark.parametrize("code", [LOADED, HEAPS])
def test_it_is_there_unless_it_is_left_out(code: str) -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", "import sys\n" + before + code],
            capture_output=True, text=True, check=True, env=environment(),
        ).stdout.strip()
        for before in ("", "from sightline_serve import lean\nlean.before_imports()\n")
    ]  # fmt: skip
    assert told == ["True", "False"]
