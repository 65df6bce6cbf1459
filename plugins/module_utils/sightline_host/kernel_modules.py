"""What decides whether a kernel module of NVIDIA's can be built and loaded here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .reading import Facts, bytes_of, matching, text_of

_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_ATTRIBUTE_BYTES = 4


def read_kernel_modules(root: Path, kernel: str, container: object) -> Facts:
    """`ours`: whether this system loads its kernel's modules itself, which no container does."""
    return {
        "ours": container is None,
        "headers": os.path.exists(root / "lib/modules" / kernel / "build"),
        "dkms": read_dkms(root),
        "nouveau": {
            "loaded": os.path.isdir(root / "sys/module/nouveau"),
            "blacklisted": nouveau_is_blacklisted(root),
        },
        "secure_boot": read_secure_boot(root, container),
    }


def read_secure_boot(root: Path, container: object) -> bool | None:
    """Whether the firmware enforces signatures; None where that cannot be seen.

    Source: the kernel's efivarfs shows a variable as four bytes of attributes and then its data; the data
    of SecureBoot is one byte, 1 for on (UEFI specification, globally defined variables).
    """
    content = bytes_of(root / _SECURE_BOOT)
    if len(content) > _ATTRIBUTE_BYTES:
        return content[-1] == 1
    if os.path.isdir(root / "sys/firmware/efi") or container is not None:
        return None
    # A machine that did not start by EFI has no Secure Boot.
    return False if os.path.isdir(root / "sys") else None


def nouveau_is_blacklisted(root: Path) -> bool:
    """By a file of modprobe's or on the kernel's command line."""
    words = text_of(root / "proc/cmdline").split()
    for word in words:
        name, _, value = word.partition("=")
        if name.endswith(("modprobe.blacklist", "module_blacklist", "rd.driver.blacklist")):
            if "nouveau" in value.split(","):
                return True
        elif word == "nouveau.modeset=0":
            return True
    files = [
        file
        for folder in ("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
        for file in matching(root, f"{folder}/*.conf")
    ]
    return any(re.search(r"^\s*blacklist\s+nouveau\s*$", text_of(file), re.MULTILINE) for file in files)


def read_dkms(root: Path) -> list[Facts]:
    """NVIDIA's modules that DKMS knows: name, version, and the kernels that it has built them for."""
    found: list[Facts] = []
    for version in matching(root, "var/lib/dkms/nvidia*/[0-9]*"):
        if os.path.isdir(version):
            built = matching(version, "*/*/module/*.ko*")
            kernels = sorted({file.parents[2].name for file in built})
            found.append({"name": version.parent.name, "version": version.name, "kernels": kernels})
    return found
