"""Fake roots of hosts with NVIDIA cards: a healthy one, and what breaks on it in practice.

A root holds only what the probe reads. The cards are those of tests/recordings, `nvidia-smi` is the stand-in.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
RECORDINGS = TESTS / "recordings"
KERNEL = "6.1.0-28-amd64"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (a@b)  Thu Feb 22 2024\n"
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Feb 22 01:44:30 UTC 2024\n"
GCC = "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
NOT_LOADED = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running."
)
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.90"
ROOT_MOUNT = "/dev/vda1 / ext4 rw,relatime 0 0\n"
BOX_MOUNTS = (
    "overlay / overlay rw 0 0\n"
    "/dev/vdb1 /root/autodl-tmp ext4 rw,relatime 0 0\n"
    "/dev/vda1 /usr/bin/nvidia-smi ext4 ro,nosuid,nodev 0 0\n"
    "/dev/vda1 /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.14 ext4 ro,nosuid,nodev 0 0\n"
)
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class GpuHost:
    """A fake root at `path`. What a method puts there it puts in place of what was there before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.put("proc/self/mounts", ROOT_MOUNT)
        (path / "sys").mkdir()

    def put(self, name: str, content: str | bytes = "") -> None:
        """Write a file below the root."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def remove(self, name: str) -> None:
        """Take a file or a folder away."""
        place = self.path / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    def systemd(self) -> None:
        """systemd runs."""
        (self.path / "run/systemd/system").mkdir(parents=True)

    def bus(self, card: str) -> None:
        """The PCI bus of the recording `card`."""
        place = self.path / "sys/bus/pci/devices"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(RECORDINGS / "pci" / card, place)

    def module(self, version: str, text: str = OPEN) -> None:
        """The kernel module is loaded."""
        self.put("proc/driver/nvidia/version", text.format(version) + GCC)
        self.put("sys/module/nvidia/version", f"{version}\n")

    def unload(self) -> None:
        """The kernel module is not loaded."""
        self.remove("proc/driver/nvidia")
        self.remove("sys/module/nvidia")

    def libraries(self, version: str) -> None:
        """The driver's libraries, by way of the links that a distribution's alternatives make."""
        shutil.rmtree(self.path / LIBRARIES, ignore_errors=True)
        shutil.rmtree(self.path / "etc/alternatives", ignore_errors=True)
        self.put(f"{LIBRARIES}/nvidia/current/libnvidia-ml.so.{version}")
        os.symlink(f"libnvidia-ml.so.{version}", self.path / LIBRARIES / "nvidia/current/libnvidia-ml.so.1")
        (self.path / "etc/alternatives").mkdir(parents=True)
        os.symlink(
            f"/{LIBRARIES}/nvidia/current/libnvidia-ml.so.1",
            self.path / "etc/alternatives/nvidia--libnvidia-ml",
        )
        os.symlink("/etc/alternatives/nvidia--libnvidia-ml", self.path / LIBRARIES / "libnvidia-ml.so.1")

    def smi(
        self, card: str = "", says: str = "", code: int | None = None, recording: Path | None = None
    ) -> None:
        """nvidia-smi shows the recording `card` or another one, or says something and ends with a code."""
        shown = recording or RECORDINGS / f"nvidia-smi/{card}.xml"
        settings = {"STAND_IN_RECORDING": str(shown)} if card or recording else {}
        if code is not None:
            settings |= {"STAND_IN_SAYS": says, "STAND_IN_EXIT": str(code)}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        self.put(
            "usr/bin/nvidia-smi",
            "\n".join(["#!/bin/sh", *lines, f'exec "{TESTS}/stand_ins/nvidia-smi" "$@"', ""]),
        )
        (self.path / "usr/bin/nvidia-smi").chmod(0o755)


def bare_metal(path: Path, card: str = "h100-80gb", version: str = "550.54.14") -> GpuHost:
    """A healthy machine with its own driver, under systemd."""
    host = GpuHost(path)
    host.systemd()
    host.bus(card)
    host.module(version)
    host.libraries(version)
    host.smi(card)
    return host


def rented_box(path: Path, card: str = "rtx-4090", version: str = "550.54.14") -> GpuHost:
    """A healthy rented container: no systemd, driver injected, the bus of the machine beneath in sight."""
    host = GpuHost(path)
    host.put("proc/self/mounts", BOX_MOUNTS)
    host.put(".dockerenv")
    (host.path / "root/autodl-tmp").mkdir(parents=True)
    host.bus(card)
    host.module(version)
    host.put(f"{LIBRARIES}/libnvidia-ml.so.{version}")
    os.symlink(f"libnvidia-ml.so.{version}", host.path / LIBRARIES / "libnvidia-ml.so.1")
    host.smi(card)
    return host


def fresh_metal(path: Path, card: str = "h100-80gb") -> GpuHost:
    """A machine with a card and no driver yet, of a distribution with dpkg."""
    host = GpuHost(path)
    host.systemd()
    host.bus(card)
    host.put("var/lib/dpkg/status", "Package: dpkg\nStatus: install ok installed\nVersion: 1.22.21\n\n")
    host.put("etc/os-release", 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    return host
