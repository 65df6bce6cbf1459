"""NVIDIA's network repository in small: its packages' names, needs and places, signed by a test's key."""

from __future__ import annotations

from pathlib import Path

from tests.stand_ins.apt_repository import AptRepository, Package
from tests.stand_ins.nvidia_packages import KERNEL, VERSION, headers, module_package

NVCC = "#!/bin/sh\necho 'stand-in for nvcc'; echo 'Cuda compilation tools, release 12.4, V12.4.131'\n"
NEWER = "570.10"


def nvidia_repository(folder: Path) -> AptRepository:
    """A flat repository with two branches of the driver, so that only a pinned one is taken."""
    made = AptRepository(folder)
    for version in (VERSION, NEWER):
        branch = version.partition(".")[0]
        same = f"(= {version}-1)"
        made.add(
            module_package("nvidia-kernel-open-dkms", "nvidia", version, builds=True, revision="1"),
            module_package("nvidia-kernel-dkms", "nvidia", version, builds=True, revision="1"),
            Package("libcuda1", f"{version}-1"),
            Package("nvidia-persistenced", f"{version}-1"),
            Package(f"nvidia-fabricmanager-{branch}", f"{version}-1"),
            Package(
                f"cuda-drivers-{branch}",
                f"{version}-1",
                f"libcuda1 {same}, nvidia-kernel-open-dkms {same} | nvidia-kernel-dkms {same}",
            ),
        )
    made.add(
        headers(KERNEL),
        Package("dkms", "3.2.2-1"),
        Package("cuda-toolkit-12-4", "12.4.1-1", "cuda-nvcc-12-4"),
        Package(
            "cuda-nvcc-12-4",
            "12.4.131-1",
            files={
                "usr/local/cuda-12.4/bin/nvcc": NVCC,
                "usr/local/cuda-12.4/lib64/libcudart.so.12": "a stand-in for CUDA's runtime\n",
            },
        ),
        # Would bring a driver along: nobody may ask for it.
        Package("cuda", "13.0.1-1", "cuda-drivers-570"),
        Package("g++", "4:14.2.0-1"),
        Package("libcudnn9-cuda-12", "9.1.0.70-1"),
        Package("libcudnn9-cuda-12", "9.9.0.1-1"),
        Package("nvidia-container-toolkit", "1.17.8-1", "libnvidia-container1"),
        Package("libnvidia-container1", "1.17.8-1"),
    )
    return made.publish()
