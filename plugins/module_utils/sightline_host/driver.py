"""The NVIDIA driver: whose it is, and the versions of its two halves, the kernel's and the libraries'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .reading import Facts, first_version, link_target, matching, text_of

_LOADER_FOLDERS = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/local/nvidia/lib64", "usr/lib/wsl/lib")
_INJECTED = re.compile(
    r"^\S+ (?:\S*/(?:libnvidia|nvidia-smi)\S*|/usr/local/nvidia(?:/\S*)?|/usr/lib/wsl\S*) "
)


def read_driver(root: Path, gpus: Sequence[Facts], smi: Facts | None, cuda: str | None) -> Facts:
    """State, versions and the way nvidia-smi ended.

    `absent`, `installed` (packages or kernel modules of this system) or `injected`: a container's host
    injects driver libraries as read-only mounts, which must never be touched. `version` is what the driver
    itself says, else that of the kernel module, else that of the libraries. In a container the module is
    the one of the machine beneath.
    """
    module, kind = read_module(root)
    library = library_version(root)
    mounts = text_of(root / "proc/self/mounts").splitlines()
    if any(_INJECTED.match(line) for line in mounts):
        state = "injected"
    else:
        state = "installed" if gpus or module or kind or library or _library_names(root) else "absent"
    return {
        "state": state,
        "version": (str(gpus[0]["driver"]) if gpus and gpus[0].get("driver") else None) or module or library,
        "cuda": cuda,
        "module_version": module,
        "module_kind": kind,
        "library_version": library,
        "smi": smi,
    }


def read_module(root: Path) -> tuple[str | None, str | None]:
    """Version and kind (`open`, `proprietary`) of the loaded kernel module; None where none is."""
    said = text_of(root / "proc/driver/nvidia/version")
    line = next((line for line in said.splitlines() if line.startswith("NVRM")), said)
    version = first_version(text_of(root / "sys/module/nvidia/version")) or first_version(line)
    if "NVRM" not in line:
        return version, None
    return version, "open" if "Open Kernel Module" in line else "proprietary"


def library_version(root: Path) -> str | None:
    """Version of the driver's libraries, from the file that the loader's name for NVML leads to.

    Containers may hold the name itself as a file: then the version is read off a file beside it.
    """
    for name in _library_names(root):
        beside = matching(name.parent, "libnvidia-ml.so.*")
        found = next(filter(None, map(_library, [link_target(root, name), *beside])), None)
        if found:
            return found
    return None


def _library_names(root: Path) -> list[Path]:
    return [name for folder in _LOADER_FOLDERS for name in matching(root, f"{folder}/libnvidia-ml.so.1")]


def _library(path: Path) -> str | None:
    found = re.fullmatch(r"libnvidia-ml\.so\.(\d+\.[\d.]+)", path.name)
    return found[1] if found else None
