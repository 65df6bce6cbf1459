"""What a host says of its GPUs, and what is wrong with it: judged apart from any connection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

_END = "</nvidia_smi_log>"


@dataclass(frozen=True)
class GpuFacts:
    """As on_host.GPU_SIDE prints it."""

    module: str
    smi: Mapping[str, Any]
    mounts: str
    ledger: str
    held: list[str]
    parents: Mapping[str, str]
    nvcc: str

    @classmethod
    def read(cls, told: str) -> GpuFacts:
        """From the script's output."""
        return cls(**json.loads(told))

    @property
    def log(self) -> ElementTree.Element | None:
        """nvidia-smi's list, None where it gave none."""
        text, end, _ = str(self.smi["text"]).partition(_END)
        try:
            return ElementTree.fromstring(text + end)
        except ElementTree.ParseError:
            return None

    @property
    def injected(self) -> bool:
        """Whether a container's host put the driver there: then it is not this system's to set up."""
        return re.search(r"^\S+ \S*/(?:libnvidia|nvidia-smi)", self.mounts, re.MULTILINE) is not None

    @property
    def sets(self) -> dict[str, Any]:
        """What Sightline installed on the system, by name; {} where it did not, or may not be read."""
        return dict(json.loads(self.ledger)["sets"]) if self.ledger else {}


def driver_problem(facts: GpuFacts) -> str:
    """Why the driver shows no GPU; "" where it shows some."""
    log = facts.log
    if facts.smi["code"] not in (0, 14) or log is None:
        said = " ".join(str(facts.smi["text"]).split())[:200]
        return f"nvidia-smi ends with {facts.smi['code']}: {said}"
    return "" if log.find("gpu") is not None else "nvidia-smi lists no GPU"


def halves_problem(facts: GpuFacts) -> str:
    """Kernel module and libraries are of two versions, or one cannot be told; "" where they agree."""
    log = facts.log
    told = (log.findtext("driver_version") or "").strip() if log is not None else ""
    if not facts.module or not told:
        return f"the kernel module says {facts.module or 'nothing'}, NVML says {told or 'nothing'}"
    return "" if facts.module == told else f"the kernel module is {facts.module}, NVML says {told}"


def persistence_problem(facts: GpuFacts) -> str:
    """GPUs that lose their state when nobody uses them; "" where none does, or another decides."""
    if facts.injected or facts.log is None:
        return ""
    off = [
        str(number)
        for number, gpu in enumerate(facts.log.iter("gpu"))
        if (gpu.findtext("persistence_mode") or "").strip() != "Enabled"
    ]
    return (
        f"persistence is off on GPU {', '.join(off)}: systemctl enable --now nvidia-persistenced"
        if off
        else ""
    )


def holds_problem(facts: GpuFacts) -> str:
    """Packages that Sightline held and that are no longer held."""
    loose = sorted(name for entry in facts.sets.values() for name in entry["held"] if name not in facts.held)
    return f"not held: {', '.join(loose)}" if loose else ""


def toolkit_problem(facts: GpuFacts, version: str) -> str:
    """nvcc is not of the release's CUDA, where Sightline installed one."""
    found = re.search(r"release (\d+\.\d+)", facts.nvcc)
    if "cuda" not in facts.sets or (found and found[1] == version):
        return ""
    return f"nvcc is {found[1] if found else 'not there'}, the release has CUDA {version}"


def process_problem(facts: GpuFacts, service: str) -> str:
    """The service's process, or one that it started, is not among those on a GPU.

    In a container the list has the process numbers of the machine beneath, or is empty: nothing is said then.
    """
    if facts.injected or facts.log is None:
        return ""
    there = {(entry.text or "").strip() for entry in facts.log.iter("pid")}
    if any(service in _ancestors(facts, pid) for pid in there):
        return ""
    return f"process {service} is on no GPU; there {'are' if there else 'is none'}{_list(there)}"


def _ancestors(facts: GpuFacts, pid: str) -> Iterator[str]:
    while pid in facts.parents:
        yield pid
        pid = facts.parents[pid]


def _list(pids: set[str]) -> str:
    return f" {', '.join(sorted(pids))}" if pids else ""
