"""Containers, virtual machines, and disks that rented boxes bring."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sightline_host.disks import read_disks
from sightline_host.surroundings import read_container, read_surroundings, read_vm

GB = 10**9
OVERLAY = "overlay / overlay rw 0 0\n"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"run/host/container-manager": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"proc/1/environ": "PATH=/bin\0container=lxc\0HOME=/\0"}, "lxc"),
        ({"run/.containerenv": 'engine="podman-4.3.1"\n'}, "podman"),
        ({"proc/1/cgroup": "12:devices:/docker/0123456789ab\n0::/\n"}, "docker"),
        ({"proc/1/cgroup": "11:memory:/kubepods/besteffort/pod1/0123\n"}, "kubernetes"),
        ({"proc/self/mounts": OVERLAY, ".dockerenv": ""}, "docker"),
        ({"proc/self/mounts": OVERLAY}, "unknown"),
        # unpacked from an image, and a machine since
        ({"proc/self/mounts": "/dev/vda / ext4 rw 0 0\n", ".dockerenv": "", "proc/1/cgroup": "0::/\n"}, None),
        ({"proc/self/mounts": "overlay /srv/merged overlay rw 0 0\n"}, None),
    ],
)
def test_containers(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    put(tmp_path, files)
    assert read_container(tmp_path) == kind


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"sys/class/dmi/id/sys_vendor": "Dell Inc.\n", "proc/cpuinfo": "flags\t\t: fpu vme\n"}, None),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "kvm"),
        (
            {
                "sys/class/dmi/id/sys_vendor": "Microsoft\n",
                "sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "microsoft",
        ),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n"}, "unknown"),
    ],
)
def test_virtual_machines(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    put(tmp_path, files)
    assert read_vm(tmp_path) == kind


@pytest.mark.parametrize(
    ("init", "files", "possible"),
    [
        ("systemd", {}, True),
        ("systemd", {"run/systemd/container": "systemd-nspawn"}, True),
        ("systemd", {"run/systemd/container": "docker"}, False),
        ("supervised", {}, False),
        ("supervised", {"proc/self/mounts": OVERLAY}, False),
    ],
)
def test_whether_a_reboot_is_possible(
    tmp_path: Path, init: str, files: dict[str, str], possible: bool
) -> None:
    put(tmp_path, files)
    assert read_surroundings(tmp_path, init)["reboot_possible"] is possible


MOUNTS = """\
overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
/dev/nvme0n1 /root/autodl-tmp xfs rw,noatime 0 0
10.0.0.9:/share /root/autodl-fs nfs4 rw 0 0
10.0.0.9:/home /home/people nfs4 rw 0 0
/dev/nvme1n1 /srv/big ext4 rw 0 0
/dev/nvme1n1 /srv/big/again ext4 rw 0 0
/dev/nvme2n1 /boot ext4 rw 0 0
/dev/nvme3n1 /mnt/two\\040words ext4 ro 0 0
/dev/nvme4n1 /gone ext4 rw 0 0
short line
"""
SIZES = {".": 30, "root/autodl-tmp": 200, "root/autodl-fs": 20, "srv/big": 900, "boot": 1, "mnt/two words": 2}


def test_disks_worth_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"proc/self/mounts": MOUNTS})
    for name in [*SIZES, "home/people", "srv/big/again"]:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)

    def room(path: Any) -> Any:
        size = SIZES[os.path.relpath(path, tmp_path)]
        return SimpleNamespace(f_frsize=4096, f_blocks=size * GB // 4096, f_bavail=size * GB // 4096 // 2)

    monkeypatch.setattr(os, "statvfs", room)

    found: Any = read_disks(tmp_path)

    assert {disk["path"]: round(disk["total_bytes"] / GB) for disk in found} == {
        "/": 30,
        "/root/autodl-tmp": 200,
        "/root/autodl-fs": 20,
        "/srv/big": 900,
        "/mnt/two words": 2,
    }
    assert {disk["path"] for disk in found if disk["rental"]} == {
        "/root/autodl-tmp",
        "/root/autodl-fs",
        "/mnt/two words",
    }
    assert [disk["path"] for disk in found if disk["network"]] == ["/root/autodl-fs"]
    assert [disk["path"] for disk in found if not disk["writable"]] == ["/mnt/two words"]
    assert all(disk["free_bytes"] * 2 <= disk["total_bytes"] for disk in found)


def test_a_disk_that_does_not_answer_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"proc/self/mounts": "/dev/vda / ext4 rw 0 0\n"})

    def broken(path: Any) -> Any:
        raise OSError

    monkeypatch.setattr(os, "statvfs", broken)
    assert read_disks(tmp_path) == []
