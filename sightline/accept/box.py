"""What the box is, from what facts.sh said.

Most of the reading is the probe's own: the files that came are laid out again in a folder here, and the code
that reads a host's files there (plugins/module_utils/sightline_host) reads these.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.accept.cards import Smi, read_cards
from sightline.accept.disks import Disk, read_disks
from sightline.accept.limits import memory_limit, processor_limit
from sightline.accept.sections import Said
from sightline.hostside import read_distribution, read_driver, read_memory, read_pci, read_surroundings

_KEPT = re.compile(
    r"/(etc/os-release|proc/(meminfo|cpuinfo|self/mounts|1/cgroup|driver/nvidia/version)"
    r"|run/(systemd/container|host/container-manager|systemd/system|\.containerenv)|\.dockerenv"
    r"|sys/(class/dmi/id/(sys_vendor|product_name)|hypervisor/type|module/nvidia/version)"
    r"|usr/(lib/[\w-]+|lib64|local/nvidia/lib64|lib/wsl/lib)/libnvidia-ml\.so[\d.]*)"
)
"""Files that the probe's code is given. What the box says is not to be trusted with paths."""

_DEVICE = re.compile(r"([\da-f]{4,8}:[\da-f]{2}:[\da-f]{2}\.[0-7]) (0x\w{4}) (0x\w{4}) (0x\w{6})")
_LISTEN = "0A"


@dataclass(frozen=True)
class Box:
    """A box as it was found. Memory and disks are bytes.

    `memory_bytes` and `processors` are what the box may use: `memory_shown` is what the machine beneath has.
    `ports` maps ports of the box to those outside, where the house tells; `listening` are its open ports.
    """

    user: str
    root: bool
    sudo: bool
    architecture: str
    kernel: str
    distribution: str
    init: str
    container: str | None
    vm: str | None
    processor: str
    processors: float | None
    memory_bytes: int | None
    memory_shown: int | None
    memory_limit: int | None
    programs: tuple[str, ...]
    smi: Smi
    driver_state: str
    driver: str | None
    cards_on_bus: int | None
    disks: tuple[Disk, ...]
    ssh_port: int | None
    ports: dict[int, int]
    listening: tuple[int, ...]


def read_box(said: Said) -> Box:
    """From all sections of facts.sh. What did not come is empty, None or unknown."""
    files = said.files()
    smi = read_cards(said)
    who = [*said.text("who").split(), "", ""]
    system = [*said.text("system").split(), "", ""]
    with tempfile.TemporaryDirectory(prefix="sightline-accept-") as folder:
        root = Path(folder)
        _lay_out(said, files, root)
        init = "systemd" if (root / "run/systemd/system").exists() else "supervised"
        around: dict[str, Any] = read_surroundings(root, init)
        memory: dict[str, Any] = read_memory(root)
        distribution: dict[str, Any] = read_distribution(root)
        pci: dict[str, Any] = read_pci(root)
        listed: list[dict[str, object]] = [{"driver": card.driver} for card in smi.cards]
        driver: dict[str, Any] = read_driver(root, listed, None, smi.cuda)
    limit = memory_limit(files)
    shown = memory["total_bytes"]
    count, quota = said.text("processors").strip(), processor_limit(files)
    processors = float(count) if count.isdigit() else None
    sudo = said.get("sudo")
    return Box(
        user=who[1] or "unknown",
        root=who[0] == "0",
        sudo=sudo is not None and sudo.code == 0,
        architecture=system[0] or "unknown",
        kernel=system[1],
        distribution=distribution["name"] or "unknown",
        init=init,
        container=around["container"],
        vm=around["vm"],
        processor=_processor(files.get("/proc/cpuinfo", "")),
        processors=min(filter(None, (processors, quota)), default=None),
        memory_bytes=min(filter(None, (shown, limit)), default=None),
        memory_shown=shown,
        memory_limit=limit if limit and (shown is None or limit < shown) else None,
        programs=tuple(said.text("programs").split()),
        smi=smi,
        driver_state=driver["state"],
        driver=driver["version"],
        cards_on_bus=len(pci["gpus"]) if pci["listed"] else None,
        disks=read_disks(said),
        ssh_port=_last_number(said.text("connection")),
        ports=_ports(said.text("environment")),
        listening=_listening(files),
    )


def _lay_out(said: Said, files: Mapping[str, str], root: Path) -> None:
    marks = {line: "" for line in said.text("marks").splitlines()}
    for path, text in {**marks, **files}.items():
        if _KEPT.fullmatch(path):
            target = root / path[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    container = re.search(r"^container=.*$", said.text("environment"), re.MULTILINE)
    if container:
        (root / "proc/1").mkdir(parents=True, exist_ok=True)
        (root / "proc/1/environ").write_text(f"{container[0]}\0")
    for line in said.text("pci").splitlines():
        if found := _DEVICE.fullmatch(line):
            device = root / "sys/bus/pci/devices" / found[1]
            device.mkdir(parents=True, exist_ok=True)
            for name, value in zip(("vendor", "device", "class"), found.groups()[1:], strict=True):
                (device / name).write_text(value)


def _processor(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _ports(environment: str) -> dict[int, int]:
    """Ports inside and outside as vast.ai (`VAST_TCP_PORT_8080=41234`) and RunPod write them."""
    found = re.findall(r"^(?:VAST|RUNPOD)_TCP_PORT_(\d{1,5})=(\d{1,5})$", environment, re.MULTILINE)
    return {int(inside): int(outside) for inside, outside in found}


def _listening(files: Mapping[str, str]) -> tuple[int, ...]:
    """TCP ports that somebody listens on (proc(5), net/tcp: the state 0A, the port in hexadecimal)."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in files.get(f"/proc/net/{table}", "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTEN:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return tuple(sorted(found))


def _last_number(text: str) -> int | None:
    words = text.split()
    return int(words[-1]) if words and words[-1].isdigit() else None
