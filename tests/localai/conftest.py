"""The Python with llama.cpp in it, which the stand-in for LocalAI runs on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def llama_python() -> Path:
    python = Path(os.environ.get("SIGHTLINE_LLAMA_PYTHON", ""))
    if not python.is_file():
        pytest.fail(
            "SIGHTLINE_LLAMA_PYTHON names no Python: run this by `scripts/test slow`, which builds it"
        )
    return python
