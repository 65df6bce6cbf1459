"""Packages that matter, and who holds apt's lock, with the right to ask the kernel and without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sightline_host.packages import read_lock, read_packages

if TYPE_CHECKING:
    from tests.unit.conftest import Spawn

STATUS = """\
Package: bash
Essential: yes
Status: install ok installed
Version: 5.2.15-2+b2

Package: nvidia-driver-libs
Status: hold ok installed
Architecture: amd64
Version: 550.163.01-2
Depends: libc6
Description: NVIDIA metapackage
 Package: not-a-package
 Version: 9

Package: libnvidia-ml1
Status: install ok installed
Multi-Arch: same
Version: 550.163.01-2

Package: nvidia-kernel-dkms
Status: deinstall ok config-files
Version: 535.1-1

Package: nvidia-open-kernel-dkms
Status: install ok half-configured
Version: 550.163.01-2

Package: cuda-toolkit-12-4
Status: install ok installed
Version: 12.4.1-1

Package: libcudnn9-cuda-12
Status: install ok installed
Version: 9.1.0.70-1

Package: nvidia-container-toolkit
Status: install ok installed
Version: 1.17.0-1

Package: linux-headers-6.1.0-28-amd64
Status: install ok installed
Version: 6.1.119-1

Package: python3-cudatext
Status: install ok installed
Version: 1

Package: dkms
Status: install ok installed
Version: 3.0.10-8"""

LOCKS = ("var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/apt/lists/lock")
HOLD = (
    "import fcntl, struct, sys, time\n"
    "file = open(sys.argv[1], 'r+')\n"
    "fcntl.lockf(file, fcntl.LOCK_EX)\n"
    "print('held', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in LOCKS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "proc").mkdir()
    return tmp_path


def test_packages_that_matter(root: Path) -> None:
    (root / "var/lib/dpkg/status").write_text(STATUS)

    found = read_packages(root)

    assert found["manager"] == "dpkg"
    assert found["installed"] == {
        "cuda-toolkit-12-4": "12.4.1-1",
        "dkms": "3.0.10-8",
        "libcudnn9-cuda-12": "9.1.0.70-1",
        "libnvidia-ml1": "550.163.01-2",
        "linux-headers-6.1.0-28-amd64": "6.1.119-1",
        "nvidia-container-toolkit": "1.17.0-1",
        "nvidia-driver-libs": "550.163.01-2",
        "nvidia-open-kernel-dkms": "550.163.01-2",
    }
    assert found["held"] == ["nvidia-driver-libs"]
    assert found["lock"] == {"held": False, "holder": None}


def test_a_host_without_dpkg(tmp_path: Path) -> None:
    assert read_packages(tmp_path) == {
        "manager": None,
        "installed": {},
        "held": [],
        "lock": {"held": False, "holder": None},
    }


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_is_held_is_seen_with_its_holder(root: Path, spawn: Spawn, name: str) -> None:
    holder = spawn(HOLD, str(root / name))
    (root / f"proc/{holder.pid}").mkdir()
    (root / f"proc/{holder.pid}/comm").write_text("apt-get\n")

    assert read_lock(root) == {"held": True, "holder": f"apt-get (pid {holder.pid})"}

    holder.kill()
    holder.wait()
    assert read_lock(root) == {"held": False, "holder": None}


def test_a_lock_of_a_file_that_may_not_be_opened_is_found_in_the_kernels_list(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    status = os.stat(root / LOCKS[0])
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    other = "1: POSIX  ADVISORY  WRITE 7 {where}:{inode} 0 EOF\n"
    (root / "proc/locks").write_text(
        f"1: FLOCK  ADVISORY  WRITE 7 {device}:{status.st_ino} 0 EOF\n"
        f"2: POSIX  ADVISORY  READ 7 {device}:{status.st_ino} 0 EOF\n"
        f"3: POSIX  ADVISORY  WRITE 7 {device}:{status.st_ino + 999_999} 0 EOF\n"
        "4: half a line\n" + other.format(where="zz:99", inode=status.st_ino + 999_999)
    )
    assert read_lock(root) == {"held": False, "holder": None}

    with (root / "proc/locks").open("a") as locks:
        locks.write(f"5: POSIX  ADVISORY  WRITE 4711 {device}:{status.st_ino} 0 EOF\n")
    assert read_lock(root) == {"held": True, "holder": "a program (pid 4711)"}
