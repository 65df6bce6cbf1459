"""What a host's keeper is told: everything it needs, worked out before it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.furnish import Furniture
from tests.lab.kinds import Kind
from tests.lab.place import CHECKOUT

# What a container engine takes from root inside; systemd-nspawn's default leaves it.
_TAKEN = (
    "CAP_IPC_OWNER", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_NET_ADMIN", "CAP_NET_BROADCAST",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
)  # fmt: skip


# Where a host finds what is then mounted on its /proc.
_ASIDE = "/var/lib/injected-proc"


@dataclass(frozen=True)
class Mount:
    """A folder or file from outside, at `inside`."""

    outside: str
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class KeeperPlan:
    """`disks` maps places in the host to bytes, a tmpfs each; without "/" its changes are on disk."""

    tree: str
    folder: str
    boot: bool
    groups: tuple[str, ...]
    disks: dict[str, int]
    mounts: tuple[Mount, ...]
    furniture: Furniture

    @property
    def root(self) -> Path:
        return Path(self.folder) / "root"

    def disk(self, inside: str) -> Path:
        """Where the disk is mounted in the keeper's namespace."""
        return disk_path(Path(self.folder), inside)

    def command(self, keeper: int) -> list[str]:
        """The container, in the keeper's network namespace."""
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--directory={self.root}"]
        words += [f"--hostname={self.furniture.name}", f"--network-namespace-path=/proc/{keeper}/ns/net"]
        words += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        for mount in self.mounts:
            words.append(f"--bind{'' if mount.writable else '-ro'}={mount.outside}:{mount.inside}")
        if self.boot:
            return [*words, "--boot", "--kill-signal=SIGRTMIN+3"]
        words += [f"--drop-capability={','.join(_TAKEN)}", "--kill-signal=SIGTERM"]
        # As vast.ai's images do with a script of the person's.
        start = (
            "mkdir -p /run/sshd; [ ! -x /root/onstart.sh ] || /root/onstart.sh & exec /usr/sbin/sshd -D -e"
        )
        return [*words, "/bin/sh", "-c", start]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> KeeperPlan:
        told = json.loads(text)
        told["mounts"] = tuple(Mount(**mount) for mount in told["mounts"])
        told["groups"] = tuple(told["groups"])
        return cls(**told | {"furniture": Furniture(**told["furniture"])})


def disk_path(folder: Path, inside: str) -> Path:
    return folder / "disks" / (inside.strip("/").replace("/", "-") or "system")


def mounts_of(kind: Kind, folder: Path, pip_folders: tuple[str, ...]) -> tuple[Mount, ...]:
    found = [Mount(path, path) for path in pip_folders]
    for inside, outside in kind.injected.items():
        source = str(CHECKOUT / outside)
        if inside.startswith("/proc/"):
            # systemd-nspawn mounts there after it has left this machine's tree: it needs the source inside.
            found.append(Mount(source, _ASIDE))
            source = _ASIDE
        found.append(Mount(source, inside))
    if kind.data_disk:
        found.append(Mount(str(disk_path(folder, kind.data_disk)), kind.data_disk, writable=True))
    return tuple(found)
