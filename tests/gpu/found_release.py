"""A release made from what a machine's Python brings: so that any image with PyTorch can be deployed on.

What users deploy is written by hand and locked; this one says "whatever is here", for a test that has no
network and cannot choose its machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sightline_host.adopted import blocks, canonical

NAME = "found"
NO_HASH = "0" * 64
# Prints what a Python has, and what its torch was built for.
_ASK = """\
import importlib.metadata as m, json, platform, torch
print(json.dumps({
    "python": platform.python_version(), "machine": platform.machine(), "torch": m.version("torch"),
    "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "gpu": torch.cuda.is_available(),
    "installed": {d.metadata["Name"]: d.version for d in m.distributions() if d.metadata["Name"]}}))
"""


@dataclass(frozen=True)
class Image:
    """What a Python brings: `installed` by canonical name; `cudnn` as cuDNN counts (90100), None without."""

    interpreter: str
    python: str
    machine: str
    torch: str
    cuda: str | None
    cudnn: int | None
    gpu: bool
    installed: dict[str, str]


def look(interpreter: str) -> Image | None:
    """Ask a Python what it brings; None where it has no PyTorch."""
    asked = subprocess.run([interpreter, "-c", _ASK], capture_output=True, text=True)
    if asked.returncode != 0:
        return None
    told = json.loads(asked.stdout)
    told["installed"] = {canonical(name): version for name, version in told["installed"].items()}
    return Image(interpreter=interpreter, **told)


def write(checkout: Path, image: Image, wheels: Iterable[Path]) -> list[str]:
    """Write the release and its lock files into a checkout, and let the canary be served in it.

    Returns the packages that neither the image nor `wheels` have: without them nothing can be deployed.
    """
    # What the image has is never fetched, so nobody will ask for its hash.
    there = {name: (version, NO_HASH) for name, version in image.installed.items()}
    brought = {**_of_wheels(wheels), **there}
    wanted = [name for name, _, _ in blocks((checkout / "requirements/engine-cpu.lock.txt").read_text())]
    wanted = [name for name in dict.fromkeys(wanted) if name in brought or not _optional(name)]
    missing = [name for name in wanted if name not in brought]
    pins = [(name, *brought[name]) for name in wanted if name in brought]
    _write_lock(checkout / "requirements/found.lock.txt", pins)
    torch = [("torch", image.torch.partition("+")[0], NO_HASH)]
    _write_lock(checkout / "requirements/torch-found.lock.txt", torch)
    versions = {name: version for name, version, _ in pins}
    entry = _entry(checkout, image, versions.get("transformers", "0"))
    (checkout / f"catalogue/releases/{NAME}.yml").write_text(yaml.safe_dump(entry, sort_keys=False))
    _serve_canary(checkout / "catalogue/models/canary.yml")
    return missing


def _optional(name: str) -> bool:
    """Packages that only download or speed up: nothing is downloaded here."""
    return name.startswith("hf-") or name == "uvloop"


def _of_wheels(wheels: Iterable[Path]) -> dict[str, tuple[str, str]]:
    """Version and sha256 of wheels, by canonical name."""
    found = {}
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        found[canonical(name)] = (version, hashlib.sha256(wheel.read_bytes()).hexdigest())
    return found


def _write_lock(file: Path, pins: Iterable[tuple[str, str, str]]) -> None:
    file.write_text("".join(f"{name}=={version} --hash=sha256:{sha256}\n" for name, version, sha256 in pins))


def _entry(checkout: Path, image: Image, transformers: str) -> dict[str, Any]:
    release = dict(yaml.safe_load((checkout / "catalogue/releases/cpu.yml").read_text()))
    major, minor = (int(part) for part in image.python.split(".")[:2])
    release |= {
        "name": NAME,
        "title": "What this machine brings",
        "python": {"minimum": f"{major}.{minor}", "below": f"{major}.{minor + 1}"},
        "architectures": [image.machine],
        "lock_files": ["requirements/found.lock.txt", "requirements/torch-found.lock.txt"],
        "packages": {"torch": image.torch.partition("+")[0], "transformers": transformers},
        "memory": {"process_bytes": 2_000_000_000},
    }
    if image.cuda:
        release |= {
            "accelerator": "cuda",
            "cuda": image.cuda,
            "cudnn": _cudnn(image),
            "driver": {"floor": "450.80"},
        }
    return release


def _cudnn(image: Image) -> str:
    """The version of the wheel where there is one, else what cuDNN's own number says: 90100 -> 9.1.0."""
    for name, version in image.installed.items():
        if re.fullmatch(r"nvidia-cudnn-cu\d+", name):
            return version
    number = image.cudnn or 0
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _serve_canary(file: Path) -> None:
    model = yaml.safe_load(file.read_text())
    for serving in model["engines"]["can_serve"]:
        if serving["engine"] == "sightline-serve" and "cpu" in serving["releases"]:
            serving["releases"].append(NAME)
    file.write_text(yaml.safe_dump(model, sort_keys=False))
