"""CUDA toolkits and cuDNN libraries that are on the host already."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from .reading import Facts, inside, link_target, matching, text_of

_NVCC_SECONDS = 10


def read_toolkit(root: Path) -> Facts:
    """{"cuda": [{"path", "version", "nvcc"}], "cudnn": [{"path", "version"}]}, each newest path last."""
    return {"cuda": read_cuda(root), "cudnn": read_cudnn(root)}


def read_cuda(root: Path) -> list[Facts]:
    """Toolkits by NVIDIA's folders, and the distribution's nvcc; `version` None where it doesn't say."""
    found: list[Facts] = []
    for folder in [*matching(root, "usr/local/cuda-*"), root / "usr/local/cuda"]:
        if not os.path.isdir(folder) or (folder.name == "cuda" and os.path.islink(folder) and found):
            continue
        nvcc = folder / "bin/nvcc"
        version = _stated_version(folder) or (_nvcc_version(nvcc) if os.path.isfile(nvcc) else None)
        if version or os.path.isfile(nvcc):
            path = inside(root, folder)
            found.append({"path": path, "version": version, "nvcc": os.path.isfile(nvcc)})
    system = root / "usr/bin/nvcc"
    if os.path.isfile(system):
        found.append({"path": inside(root, system), "version": _nvcc_version(system), "nvcc": True})
    return found


def _stated_version(folder: Path) -> str | None:
    """What version.json says of nvcc ("12.4.131"), or of the whole toolkit where nvcc was left out."""
    try:
        stated = json.loads(text_of(folder / "version.json"))
    except ValueError:
        return None
    for part in ("cuda_nvcc", "cuda"):
        entry = stated.get(part) if isinstance(stated, dict) else None
        if isinstance(entry, dict) and entry.get("version"):
            return str(entry["version"])
    return None


def _nvcc_version(nvcc: Path) -> str | None:
    """The V number of its last but one line: "Cuda compilation tools, release 12.4, V12.4.131"."""
    try:
        said = subprocess.run(
            [str(nvcc), "--version"], capture_output=True, text=True, errors="replace", timeout=_NVCC_SECONDS
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bV(\d+(?:\.\d+)+)", said) or re.search(r"release (\d+\.\d+)", said)
    return found[1] if found else None


def read_cudnn(root: Path) -> list[Facts]:
    """libcudnn in the folders that the loader looks into; the version is the longest in the file's name."""
    found: dict[str, Facts] = {}
    for folder in loader_folders(root):
        for name in matching(folder, "libcudnn.so.*"):
            file = link_target(root, name)
            version = re.fullmatch(r"libcudnn\.so\.(\d[\d.]*)", file.name)
            if version and os.path.isfile(file):
                found[str(file)] = {"path": inside(root, file), "version": version[1]}
    return [found[path] for path in sorted(found)]


def loader_folders(root: Path) -> list[Path]:
    """The loader's usual folders, those of ld.so.conf.d, and those of CUDA, which programs add themselves."""
    named = [
        line.strip().lstrip("/")
        for file in [root / "etc/ld.so.conf", *matching(root, "etc/ld.so.conf.d/*.conf")]
        for line in text_of(file).splitlines()
        if line.strip().startswith("/")
    ]
    patterns = [
        "usr/lib/*-linux-gnu",
        "usr/lib64",
        "usr/lib",
        "usr/local/lib",
        "usr/local/cuda*/lib64",
        *named,
    ]
    folders = [folder for pattern in patterns for folder in matching(root, pattern) if os.path.isdir(folder)]
    return list(dict.fromkeys(folders))
