"""On a machine with a GPU and an image that brings PyTorch, without any network: deploy the canary, prove it.

What the image lacks (supervisord, perhaps FastAPI) lies as wheels in the folder that SIGHTLINE_GPU_WHEELS
names; the controller's environment is there, or was built from that folder too. Elsewhere this is not run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.clones import CHECKOUT, Clone, copy_checkout, free_port
from tests.gpu.found_release import Image, look, write

WHEELS = Path(os.environ.get("SIGHTLINE_GPU_WHEELS") or CHECKOUT / ".whl")
NO_NETWORK = {
    "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "", "PIP_RETRIES": "0",
}  # fmt: skip


@pytest.fixture(scope="module")
def image() -> Image:
    """The first Python on the PATH whose PyTorch sees a GPU."""
    for name in ("python3", "python", "python3.12", "python3.11"):
        found = look(name) if shutil.which(name) else None
        if found and found.gpu:
            return found
    pytest.skip("no Python here has a PyTorch that sees a GPU")


Deployed = tuple[Clone, dict[str, object]]
"""The clone that deployed, and the deployment's record."""


@pytest.fixture(scope="module")
def deployed(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The canary, deployed on the image's Python and proven."""
    folder = tmp_path_factory.mktemp("gpu")
    clone = Clone(copy_checkout(folder / "clone"), free_port())
    (clone.path / ".venv").symlink_to(CHECKOUT / ".venv")
    missing = write(clone.path, image, WHEELS.glob("*.whl"))
    assert not missing, f"neither the image nor {WHEELS} has {', '.join(missing)}"
    settings = {
        "sightline_root": str(folder / "root"),
        "sightline_release": "found",
        "sightline_python_env": "adopt",
        "sightline_pythons": [shutil.which(image.interpreter)],
        "sightline_indexes": [f"find-links:{WHEELS}"],
        "sightline_device": "cuda",
    }
    words = ("-e", json.dumps(settings))
    try:
        ended = clone.up(*words, **NO_NETWORK)
        assert ended.returncode == 0
        record = json.loads((clone.path / ".sightline/deployments/local.json").read_text())
        yield clone, record
    finally:
        clone.run("scripts/playbook", "playbooks/down.yml", *words, environment=NO_NETWORK)


def test_the_canary_is_proven_on_the_gpu(deployed: Deployed) -> None:
    clone, _ = deployed
    report = json.loads((clone.path / ".sightline/reports/local/latest/report.json").read_text())
    assert report["verdict"]["outcome"] == "proven"


def test_the_server_is_the_process_on_the_gpu(deployed: Deployed) -> None:
    clone, record = deployed
    log = Path(str(record["root"])) / "log/sightline-vlm.log"
    assert "cuda" in log.read_text()
    asked = subprocess.run(
        ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"], capture_output=True, text=True
    )
    ours = {line.split()[0] for line in clone.processes() if "sightline_serve" in line}
    assert ours & set(asked.stdout.split()), asked.stdout


def test_a_product_on_the_gpu_is_the_cpus(deployed: Deployed) -> None:
    _, record = deployed
    environment = record["environment"]
    assert isinstance(environment, dict)
    code = (
        "import torch; torch.manual_seed(0); a, b = torch.randn(2, 512, 512); "
        "print((a @ b - (a.cuda() @ b.cuda()).cpu()).abs().max().item())"
    )
    asked = subprocess.run([f"{environment['path']}/bin/python", "-c", code], capture_output=True, text=True)
    # 512 products of unit variance in float32, or in TF32 (10 bits of mantissa) where that is switched on.
    assert float(asked.stdout) < 0.2
