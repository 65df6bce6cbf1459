"""The journey on a Python that brings PyTorch, without any network: what an image has is not fetched again.

The engine's environment of this checkout stands for what a rented image brings: it has the CPU release's
torch, and nobody runs from it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.ansible.clones import CHECKOUT, Clone, copy_checkout, free_port, plain_environment

IMAGE = CHECKOUT / ".venv/engine"
NO_NETWORK = {
    "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1",
}  # fmt: skip


@pytest.fixture
def image() -> Path:
    for name in ("controller", "engine"):
        subprocess.run(["scripts/environment", name], cwd=CHECKOUT, check=True, env=plain_environment())
    return IMAGE


@pytest.fixture
def offline(image: Path, tmp_path: Path) -> Clone:
    """A clone with this checkout's own controller, which is not to be fetched either."""
    made = Clone(copy_checkout(tmp_path / "clone"), free_port())
    (made.path / ".venv").symlink_to(CHECKOUT / ".venv")
    return made


@pytest.fixture
def wheels(image: Path, tmp_path: Path) -> Path:
    """What the image lacks, brought along in a folder: supervisord."""
    folder = tmp_path / "wheels"
    locks = [word for name in ("pip", "supervisor") for word in ("-r", f"requirements/{name}.lock.txt")]
    subprocess.run(
        [image / "bin/python", "-m", "pip", "download", "-q", "--require-hashes", "-d", folder, *locks],
        cwd=CHECKOUT, check=True, env=plain_environment(),
    )  # fmt: skip
    return folder


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file but compiled ones."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.mark.slow
def test_an_image_is_built_on_without_a_network_and_left_as_it_was(
    offline: Clone, image: Path, wheels: Path, tmp_path: Path
) -> None:
    root, before = tmp_path / "root", listing(image)
    settings = {
        "sightline_root": str(root),
        "sightline_service": "sightline-adopted",
        "sightline_python_env": "adopt",
        "sightline_pythons": [str(image / "bin/python")],
        "sightline_indexes": [f"find-links:{wheels}"],
        "sightline_prove_options": ["--quick"],
    }
    words = ("-e", json.dumps(settings))
    try:
        ended = offline.up(*words, **NO_NETWORK)
        assert ended.returncode == 0
        assert f"is built on {image}/bin/python3" in ended.stdout
        again = offline.up(*words, **NO_NETWORK)
        assert "changed=0 " in again.stdout
    finally:
        # Not scripts/down, which would take the controller along.
        taken_down = offline.run("scripts/playbook", "playbooks/down.yml", *words, environment=NO_NETWORK)

    assert taken_down.returncode == 0
    assert listing(image) == before
    assert not root.exists()
