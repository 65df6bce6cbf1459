"""Can this machine run a lab, and are the programs there that it needs?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.lab import cgroups
from tests.lab.commands import last_words, run
from tests.lab.problems import LabError, NotHere

# Program, and the package of Debian and Ubuntu that brings it.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
_TRIAL = "mount -t tmpfs none /mnt && ip link add trial0 type veth peer name trial1"


def check() -> None:
    """Raises NotHere with the reason when this machine cannot run a lab; changes nothing."""
    if os.geteuid() != 0:
        raise NotHere("needs root")
    if not cgroups.hierarchies():
        raise NotHere("needs root with control groups (no cgroup2 file system is mounted)")
    trial = ["unshare", "--mount", "--net", "--propagation", "slave", "sh", "-c", _TRIAL]
    try:
        ended = subprocess.run(trial, capture_output=True, text=True, timeout=20)
    except OSError as problem:
        raise NotHere(f"needs root with namespaces ({problem})") from None
    if ended.returncode != 0 and shutil.which("ip"):
        raise NotHere(f"needs root that may make namespaces and mounts ({last_words(ended.stderr, 1)})")


def install_programs() -> None:
    """Install what is missing with apt-get. Raises LabError where that cannot be done."""
    packages = missing_packages()
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"these are missing, and there is no apt-get to install them: {', '.join(packages)}")
    print(f"lab: installing {' '.join(packages)} with apt-get", file=sys.stderr)
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    run(*apt, "update", timeout=600)
    run(*apt, "install", "-y", "--no-install-recommends", *packages, timeout=900)
    if still := missing_packages():
        raise LabError(f"apt-get installed no {', '.join(still)}")


def missing_packages() -> list[str]:
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
