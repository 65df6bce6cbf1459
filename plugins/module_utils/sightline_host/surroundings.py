"""What the system runs in: a container, a virtual machine or bare metal, and whether it can reboot."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .reading import Facts, bytes_of, text_of

_WITH_OWN_INIT = ("systemd-nspawn", "lxc", "lxc-libvirt")
_MAKERS = {
    "QEMU": "kvm",
    "KVM": "kvm",
    "Amazon EC2": "kvm",
    "Google Compute Engine": "kvm",
    "OpenStack": "kvm",
    "VMware": "vmware",
    "Virtual Machine": "microsoft",
    "VirtualBox": "oracle",
    "Xen": "xen",
}


def read_surroundings(root: Path, init: object) -> Facts:
    """{"container": its kind or None, "vm": its kind or None, "reboot_possible": bool}.

    A reboot is possible where systemd is process 1, and not in a container that is no system of its own.
    """
    container = read_container(root)
    own_init = container is None or container in _WITH_OWN_INIT
    return {
        "container": container,
        "vm": read_vm(root),
        "reboot_possible": init == "systemd" and own_init,
    }


def read_container(root: Path) -> str | None:
    """The container's kind as its manager names it, "unknown" if nothing does; None outside of one."""
    for file in ("run/systemd/container", "run/host/container-manager"):
        if said := text_of(root / file).strip():
            return said
    environment = bytes_of(root / "proc/1/environ").split(b"\0")
    for entry in environment:
        if entry.startswith(b"container=") and len(entry) > 10:
            return entry[10:].decode(errors="replace")
    if os.path.exists(root / "run/.containerenv"):
        return "podman"
    groups = text_of(root / "proc/1/cgroup")
    if found := re.search(r"kubepods|docker|lxc|libpod", groups):
        return {"kubepods": "kubernetes", "libpod": "podman"}.get(found[0], found[0])
    mounts = [line.split() for line in text_of(root / "proc/self/mounts").splitlines()]
    layered = any(fields[1:3] == ["/", "overlay"] for fields in mounts)
    # Docker's mark alone also lies in machines that were unpacked from an image.
    if layered and os.path.exists(root / ".dockerenv"):
        return "docker"
    return "unknown" if layered else None


def read_vm(root: Path) -> str | None:
    """The hypervisor's kind, "unknown" for one that does not say; None on bare metal."""
    board = " ".join(
        text_of(root / "sys/class/dmi/id" / name).strip() for name in ("sys_vendor", "product_name")
    )
    for maker, kind in _MAKERS.items():
        if maker in board:
            return kind
    if said := text_of(root / "sys/hypervisor/type").strip():
        return said
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", text_of(root / "proc/cpuinfo"), re.MULTILINE)
    return "unknown" if flags else None
