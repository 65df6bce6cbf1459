"""The machine that a measurement ran on, in words, and how busy it was."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """Processor, cores that may be used, memory in bytes, and the operating system."""

    processor: str
    cores: int
    memory: int
    system: str
    kernel: str

    @property
    def words(self) -> str:
        return f"{self.cores} cores of {self.processor}, {self.memory / 2**30:.0f} GiB, {self.system}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"words": self.words}


def this_machine() -> Machine:
    """Read this machine; what it does not tell is called unknown, or 0."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    named = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?(.*?)"?$', _text("/etc/os-release"), re.MULTILINE)
    return Machine(
        processor=named[1].strip() if named else "an unknown processor",
        cores=len(os.sched_getaffinity(0)),
        memory=int(memory[1]) * 1024 if memory else 0,
        system=system[1] if system else "an unknown system",
        kernel=platform.release(),
    )


def load() -> float:
    """Processes that wanted a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
