"""Which hosts the lab can start: plain facts, no logic."""

from __future__ import annotations

from dataclasses import dataclass, field

_ANY_HOST = ("ca-certificates", "iproute2", "iputils-ping", "openssh-server", "procps", "python3")
_SYSTEMD_HOST = ("dbus", "kmod", "libpam-systemd", "python3-apt", "sudo", "systemd", "systemd-sysv")

# Where a container's host mounts NVIDIA's files, and what stands for each (see recordings/README.md).
_INJECTED = {
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "tests/lab/recordings/libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1": "tests/lab/recordings/libcuda.so.1",
    "/usr/bin/nvidia-smi": "tests/stand_ins/nvidia-smi",
    "/proc/driver": "tests/lab/recordings/proc-driver",
}


@dataclass(frozen=True)
class Recipe:
    """A base tree: what is installed before a host is itself. Kinds may share one."""

    name: str
    suite: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A sort of host. `ports` are those mapped to outside; None: it is reached at its own address."""

    name: str
    about: str
    recipe: Recipe
    boot: bool = True
    user: str = "root"
    sudo: bool = False
    data_disk: str | None = None
    ports: tuple[int, ...] | None = None
    injected: dict[str, str] = field(default_factory=dict)


_DEBIAN_12 = Recipe("debian12", "bookworm", _ANY_HOST + _SYSTEMD_HOST)
_DEBIAN_13 = Recipe("debian13", "trixie", _ANY_HOST + _SYSTEMD_HOST)
# What rented images usually bring: Python with venv, no systemd, no sudo.
_CONTAINER = Recipe("container", "bookworm", (*_ANY_HOST, "curl", "python3-pip", "python3-venv"))

KINDS = {
    kind.name: kind
    for kind in (
        Kind("debian12", "Debian 12, systemd, root by key", _DEBIAN_12),
        Kind("debian13", "Debian 13, systemd, root by key", _DEBIAN_13),
        Kind(
            "rented",
            "a rented container: sshd is PID 1, injected driver, data disk, only mapped ports",
            _CONTAINER,
            boot=False,
            data_disk="/root/autodl-tmp",
            ports=(22, 6006),
            injected=_INJECTED,
        ),
        Kind(
            "noroot",
            "Debian 12, systemd, no root login; person has sudo",
            _DEBIAN_12,
            user="person",
            sudo=True,
        ),
        Kind("nosudo", "Debian 12, systemd, no root login; person has no sudo", _DEBIAN_12, user="person"),
    )
}

# What `scripts/lab up` starts when no host is named.
USUAL = ("debian12", "debian13", "rented", "noroot")
