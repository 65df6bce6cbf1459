"""The probe of a user without rights: whatever folder is closed to it, it goes on and says what it sees."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sightline_host.gpu_host import read_gpu_host
from sightline_host.hardware import read_hardware

from tests.unit.gpu_hosts import KERNEL, SECURE_BOOT, GpuHost, bare_metal
from tests.unit.test_host_state import without_rights


@pytest.fixture
def host() -> Iterator[GpuHost]:
    """A machine with something of everything, in a folder that anybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        made = bare_metal(path)
        made.put(SECURE_BOOT, b"\x06\x00\x00\x00\x00")
        made.put(f"lib/modules/{KERNEL}/build/Makefile")
        made.put(f"var/lib/dkms/nvidia-current/550.1/{KERNEL}/x86_64/module/nvidia.ko")
        made.put("etc/modprobe.d/nvidia.conf", "blacklist nouveau\n")
        made.put("var/lib/dpkg/status", "Package: dkms\nStatus: install ok installed\nVersion: 3\n")
        made.put("var/lib/dpkg/lock-frontend")
        made.put("usr/local/cuda-12.4/bin/nvcc")
        made.put("usr/local/cuda-12.4/version.json", '{"cuda_nvcc": {"version": "12.4.131"}}')
        made.put("usr/local/cuda-12.4/lib64/libcudnn.so.9.1.0")
        made.put("root/miniconda3/conda-meta/python-3.12.2-0.json")
        made.put("root/miniconda3/lib/python3.12/site-packages/torch-2.5.1.dist-info/METADATA")
        made.put("root/miniconda3/lib/python3.12/site-packages/torch/version.py", "cuda = '12.4'\n")
        made.put("root/miniconda3/bin/python3.12")
        made.put("venv/main/pyvenv.cfg")
        made.put("venv/main/lib/python3.12/site-packages/torch-2.5.1.dist-info/METADATA")
        (path / "venv/main/bin").mkdir()
        os.symlink(path / "root/miniconda3/bin/python3.12", path / "venv/main/bin/python3.12")
        yield made


def look(host: GpuHost) -> object:
    return without_rights(lambda: [read_hardware(str(host.path)), read_gpu_host(KERNEL, str(host.path))])


def test_what_is_open_is_seen(host: GpuHost) -> None:
    seen = json.dumps(look(host))
    for fact in (
        "12.4.131",
        "9.1.0",
        "miniconda3",
        "3.12.2",
        '"blacklisted": true',
        '"headers": true',
        "dkms",
    ):
        assert fact in seen


def test_any_folder_may_be_closed(host: GpuHost) -> None:
    folders = [Path(folder) for folder, _, _ in os.walk(host.path)]
    assert len(folders) > 50
    for folder in folders:
        mode = folder.stat().st_mode
        folder.chmod(0)
        try:
            found = look(host)
        finally:
            folder.chmod(mode)
        # a string is the problem that ended it
        assert isinstance(found, list), (folder, found)
