"""What `nvidia-smi -q -x` says: the GPUs in detail, or how it failed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from .reading import Facts, inside

_FOLDERS = ("usr/bin", "usr/local/bin", "usr/local/nvidia/bin", "usr/lib/wsl/lib", "opt/bin")
_MIB = 2**20
_END = "</nvidia_smi_log>"
ANSWERED = (0, 14)
"""Exit codes after which the list counts: 14 warns of a damaged infoROM, which stops no program."""

SECONDS = 30
"""nvidia-smi loads the driver on a host without persistence mode: some seconds for eight cards."""


def read_smi(root: Path) -> tuple[list[Facts], Facts | None, str | None]:
    """The GPUs, how nvidia-smi ended, and the newest CUDA that the driver takes ("12.4").

    How it ended: None where there is no nvidia-smi, else {"path", "code", "said"}: its exit code, None for no
    answer at all, and the first line that it said beside a list.
    """
    program = find_smi(root)
    if program is None:
        return [], None, None
    path = inside(root, program)
    try:
        asked = subprocess.run(
            [str(program), "-q", "-x"], capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return [], {"path": path, "code": None, "said": f"no answer within {SECONDS} s"}, None
    except OSError as problem:
        return [], {"path": path, "code": None, "said": problem.strerror or str(problem)}, None
    log, rest = parse_log(asked.stdout)
    gpus = read_log(log) if log is not None and asked.returncode in ANSWERED else []
    cuda = _text(log, "cuda_version") if log is not None else None
    said = _first_line([*rest.split("\n"), *asked.stderr.split("\n")])
    return gpus, {"path": path, "code": asked.returncode, "said": said}, cuda


def parse_log(said: str) -> tuple[ElementTree.Element | None, str]:
    """The list in what nvidia-smi printed, None where there is none, and the rest: a warning may come."""
    answer, end, rest = said.partition(_END)
    try:
        return ElementTree.fromstring(answer + end), rest
    except ElementTree.ParseError:
        return None, said


def find_smi(root: Path) -> Path | None:
    """nvidia-smi of the host whose files lie under `root`; for "/" the one in PATH comes first."""
    if root == Path("/") and (found := shutil.which("nvidia-smi")):
        return Path(os.path.abspath(found))
    for folder in _FOLDERS:
        program = root / folder / "nvidia-smi"
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def read_log(log: ElementTree.Element) -> list[Facts]:
    """The GPUs of a parsed `nvidia_smi_log`. Memory is bytes; what a card doesn't have is None."""
    driver = _text(log, "driver_version")
    return [_gpu(gpu, driver) for gpu in log.iter("gpu")]


def _gpu(gpu: ElementTree.Element, driver: str | None) -> Facts:
    link = "pci/pci_gpu_link_info"
    return {
        "name": _text(gpu, "product_name"),
        "memory_bytes": _memory(gpu),
        "uuid": _text(gpu, "uuid"),
        "driver": driver,
        "address": _address(_text(gpu, "pci/pci_bus_id") or gpu.get("id")),
        "persistence": _enabled(_text(gpu, "persistence_mode")),
        "mig": _enabled(_text(gpu, "mig_mode/current_mig")),
        "ecc": {
            "enabled": _enabled(_text(gpu, "ecc_mode/current_ecc")),
            "volatile_uncorrected": _uncorrected(gpu.find("ecc_errors/volatile")),
            "aggregate_uncorrected": _uncorrected(gpu.find("ecc_errors/aggregate")),
        },
        "pcie": {
            "generation": _number(_text(gpu, f"{link}/pcie_gen/current_link_gen")),
            "generation_max": _number(_text(gpu, f"{link}/pcie_gen/max_link_gen")),
            "width": _number(_text(gpu, f"{link}/link_widths/current_link_width")),
            "width_max": _number(_text(gpu, f"{link}/link_widths/max_link_width")),
        },
        "fabric": _text(gpu, "fabric/state"),
        "clock_reasons": _clock_reasons(gpu),
    }


def _memory(gpu: ElementTree.Element) -> int | None:
    """The card's memory; of a card in slices (MIG) the largest slice's, for a program gets one slice."""
    slices = [_bytes(_text(part, "fb_memory_usage/total")) for part in gpu.iterfind("mig_devices/mig_device")]
    return max((size for size in slices if size), default=_bytes(_text(gpu, "fb_memory_usage/total")))


def _clock_reasons(gpu: ElementTree.Element) -> list[str]:
    """Active reasons for not running at full clocks: "gpu_idle", "hw_thermal_slowdown" and so on.

    Drivers of the 545 series and later call them event reasons, earlier ones throttle reasons.
    """
    found = []
    for name in ("event", "throttle"):
        for reason in gpu.iterfind(f"clocks_{name}_reasons/*"):
            if (reason.text or "").strip() == "Active":
                found.append(reason.tag.replace(f"clocks_{name}_reason_", ""))
    return found


def _uncorrected(errors: ElementTree.Element | None) -> int | None:
    """Uncorrected errors: of the whole board for older cards, else the sum over on-chip and device memory."""
    if errors is None:
        return None
    total = _number(_text(errors, "double_bit/total"))
    if total is not None:
        return total
    counts = [_number(entry.text) for entry in errors if re.match(r"[sd]ram_uncorrectable", entry.tag)]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _text(place: ElementTree.Element, path: str) -> str | None:
    said = (place.findtext(path) or "").strip()
    return said if said and said not in ("N/A", "[N/A]", "Not Found", "Unknown Error") else None


def _number(said: str | None) -> int | None:
    found = re.match(r"\d+", said or "")
    return int(found[0]) if found else None


def _bytes(said: str | None) -> int | None:
    found = re.fullmatch(r"(\d+) MiB", said or "")
    return int(found[1]) * _MIB if found else None


def _enabled(said: str | None) -> bool | None:
    return {"Enabled": True, "Disabled": False}.get(said or "")


def _address(said: str | None) -> str | None:
    """The address as sysfs writes it: "00000000:3B:00.0" -> "0000:3b:00.0"."""
    found = re.fullmatch(
        r"(?:[0-9A-F]{4})?([0-9A-F]{4}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7])", (said or "").upper()
    )
    return found[1].lower() if found else None


def _first_line(lines: list[str]) -> str | None:
    said = [line.strip() for line in lines if line.strip()]
    return said[0][:300] if said else None
