"""What the environment of a release with CUDA loads; its GPU need not be there. See test_host.py."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from sightline.deployment import Deployment
from tests.testinfra.on_host import TORCH


def test_pytorch_loads_what_the_release_says(
    host: Host, deployment: Deployment, release: dict[str, Any]
) -> None:
    """PyTorch, its CUDA and its cuDNN are the release's"""
    python = f"{deployment.environment.path}/bin/python"
    asked = host.run("%s -I -c %s", python, TORCH)
    assert asked.rc == 0, f"{python} does not import torch: {asked.stderr.strip()[-200:]}"
    found = json.loads(asked.stdout)
    wanted = {
        "torch": release["packages"]["torch"],
        "CUDA": release["cuda"],
        "cuDNN": cudnn_number(release["cudnn"]),
    }
    found["torch"] = found["torch"].partition("+")[0]
    differing = [
        f"{name} {found[name]} instead of {wanted[name]}" for name in wanted if found[name] != wanted[name]
    ]
    assert not differing, "; ".join(differing)


def cudnn_number(version: str) -> int:
    """cuDNN's version as it tells it of itself: 9.1.0.70 -> 90100, 8.9.7 -> 8907 (its header's formula)."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major * (10000 if major >= 9 else 1000) + minor * 100 + patch
