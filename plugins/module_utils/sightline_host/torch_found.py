"""Which Python environments bring PyTorch along, with which CUDA and cuDNN: read off files, nothing is run.

Rented images come with gigabytes of it; whether they can be used is the plan's to decide.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .reading import Facts, inside, link_target, matching, text_of

# Where images of rental houses, conda and people put environments.
_PREFIXES = (
    "usr", "usr/local", "opt/conda", "opt/conda/envs/*", "opt/miniconda3", "opt/miniconda3/envs/*",
    "opt/miniforge3", "opt/miniforge3/envs/*", "opt/venv", "opt/venvs/*", "opt/*/.venv", "venv", "venv/*",
    "workspace/venv", "root/miniconda3", "root/miniconda3/envs/*", "root/miniforge3",
    "root/miniforge3/envs/*", "root/venv", "home/*/miniconda3", "home/*/miniconda3/envs/*", "home/*/venv",
)  # fmt: skip
_PACKAGES = ("lib/python3*/site-packages", "lib/python3*/dist-packages")


def read_torch(root: Path, more: Iterable[str] = ()) -> list[Facts]:
    """Environments with torch in them; `more` are prefixes to look at besides the usual ones.

    Each is {"prefix", "python": its interpreter's path or None, "python_version": "3.12" (longer where a
    file says so), "kind": system|venv|conda, "packages": the folder, "version": torch's ("2.5.1+cu124"),
    "cuda": "12.4" or None for a CPU build, "cudnn": {"version", "from": wheel|conda|bundled} or None,
    "libraries": NVIDIA's wheels beside it ({"nvidia-cublas-cu12": "12.4.5.8"})}.
    """
    prefixes = [folder for pattern in _PREFIXES for folder in matching(root, pattern)]
    prefixes += [root / prefix.lstrip("/") for prefix in more]
    found: dict[str, Facts] = {}
    for prefix in prefixes:
        for packages in (folder for pattern in _PACKAGES for folder in matching(prefix, pattern)):
            path = inside(root, packages)
            if path not in found and (version := torch_version(packages)):
                found[path] = _describe(root, prefix, packages, version)
    return list(found.values())


def torch_version(packages: Path) -> str | None:
    """torch's version as its metadata folder names it, else as its version file says."""
    for info in [*matching(packages, "torch-*.dist-info"), *matching(packages, "torch-*.egg-info")]:
        if os.path.isfile(info / "METADATA") or os.path.isfile(info / "PKG-INFO"):
            return re.sub(r"^torch-|(?:-py3[.\d]*)?\.(?:dist|egg)-info$", "", info.name)
    return _assigned(text_of(packages / "torch/version.py"), "__version__")


def _describe(root: Path, prefix: Path, packages: Path, version: str) -> Facts:
    python = packages.parent.name
    interpreter = next(
        (path for path in (prefix / f"bin/{python}", prefix / "bin/python3") if os.path.exists(path)), None
    )
    if interpreter is None and prefix == root / "usr/local":
        # Debian's Python looks into /usr/local too.
        interpreter = next((path for path in (root / f"usr/bin/{python}",) if os.path.exists(path)), None)
    kind = "system"
    if os.path.isfile(prefix / "pyvenv.cfg"):
        kind = "venv"
    elif os.path.isdir(prefix / "conda-meta"):
        kind = "conda"
    return {
        "prefix": inside(root, prefix),
        "python": inside(root, interpreter) if interpreter else None,
        "python_version": _python_version(
            prefix, link_target(root, interpreter).name if interpreter and python == "python3" else python
        ),
        "kind": kind,
        "packages": inside(root, packages),
        "version": version,
        "cuda": _assigned(text_of(packages / "torch/version.py"), "cuda"),
        "cudnn": read_bundled_cudnn(prefix, packages),
        "libraries": read_libraries(packages),
    }


def _python_version(prefix: Path, folder: str) -> str | None:
    """The environment's Python: from pyvenv.cfg or conda's record to three numbers, else from the folder."""
    if said := re.search(
        r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", text_of(prefix / "pyvenv.cfg"), re.MULTILINE
    ):
        return said[1]
    for record in matching(prefix, "conda-meta/python-3*.json"):
        if said := re.match(r"python-(\d+\.\d+\.\d+)-", record.name):
            return said[1]
    found = re.fullmatch(r"python(\d+\.\d+)t?", folder)
    return found[1] if found else None


def read_bundled_cudnn(prefix: Path, packages: Path) -> Facts | None:
    """The cuDNN that this torch loads: NVIDIA's wheel beside it, conda's package, or a file of its own."""
    for info in matching(packages, "nvidia_cudnn_cu*.dist-info"):
        if said := re.match(r"nvidia_cudnn_cu\d+-([\d.]+)\.dist-info$", info.name):
            return {"version": said[1], "from": "wheel"}
    for record in matching(prefix, "conda-meta/*cudnn*.json"):
        if said := re.match(r"(?:lib)?cudnn-(\d[\d.]*)-", record.name) or re.search(
            r"_cudnn(\d[\d.]*)_\d+\.json$", record.name
        ):
            return {"version": said[1], "from": "conda"}
    for file in matching(packages, "torch/lib/libcudnn.so.*"):
        if said := re.fullmatch(r"libcudnn\.so\.(\d[\d.]*)", file.name):
            return {"version": said[1], "from": "bundled"}
    return None


def read_libraries(packages: Path) -> dict[str, str]:
    """NVIDIA's wheels in a folder of packages, by name with their versions."""
    names = [info.name.removesuffix(".dist-info") for info in matching(packages, "nvidia_*.dist-info")]
    return {name.replace("_", "-"): version for name, _, version in (name.partition("-") for name in names)}


def _assigned(source: str, name: str) -> str | None:
    """The text assigned to `name` in a Python file: "cuda: Optional[str] = '12.4'" -> "12.4"."""
    found = re.search(rf"^{name}\s*(?::[^=\n]+)?=\s*['\"]([^'\"\n]+)['\"]", source, re.MULTILINE)
    return found[1] if found else None
