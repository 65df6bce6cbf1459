"""The engine on the oldest transformers that it is to run on: what Unsloth's release brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.server_process import SERVE


def crowds(python: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [python, "-m", "tests.serve.crowd_of_446", str(folder)],
        capture_output=True,
        text=True,
        cwd=SERVE.parent,
        env={**os.environ, "PYTHONPATH": str(SERVE), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


ALL = dict.fromkeys(("llava", "qwen2_vl", "mllama", "idefics3", "llava_next"), True)


@pytest.mark.slow
def test_crowds_on_transformers_446(tmp_path: Path) -> None:
    python = os.environ.get("SIGHTLINE_TF446_PYTHON")
    assert python, "SIGHTLINE_TF446_PYTHON must name a Python with transformers 4.46"
    assert crowds(python, tmp_path) == {"transformers": "4.46.3", **ALL}


@pytest.mark.slow
def test_the_same_on_this_one(tmp_path: Path) -> None:
    assert crowds(sys.executable, tmp_path).items() >= ALL.items()
