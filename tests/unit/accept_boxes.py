"""What boxes say to accept's scripts, and boxes made of it: a healthy one, and what is wrong with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sightline.accept.box import Box, read_box
from sightline.accept.cards import Card
from sightline.accept.clock import Skew
from sightline.accept.disks import Disk
from sightline.accept.findings import Examined
from sightline.accept.needs import Needs
from sightline.accept.sections import Said, Section
from sightline.accept.speeds import DiskSpeed, Flow, LineSpeed

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings/nvidia-smi"
GB = 10**9

MEMINFO = "MemTotal:       263856832 kB\nMemFree: 1 kB\nMemAvailable:   200000000 kB\n"
MOUNTS = (
    "overlay / overlay rw,relatime 0 0\n"
    "/dev/vdb1 /root/autodl-tmp ext4 rw,relatime 0 0\n"
    "/dev/vda1 /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.14 ext4 ro,nosuid,nodev 0 0\n"
)
DF = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"

FOREIGN = """<processes><process_info><pid>31337</pid><type>C</type>
<process_name>/opt/conda/bin/python</process_name><used_memory>41234 MiB</used_memory>
</process_info></processes>"""


def smi_says(name: str, changes: dict[str, str] | None = None, processes: str | None = None) -> str:
    """A recorded list of nvidia-smi, with some of the first card's elements changed."""
    tree = ElementTree.fromstring((RECORDINGS / f"{name}.xml").read_text())
    gpu = tree.find("gpu")
    assert gpu is not None
    for path, value in (changes or {}).items():
        element = gpu.find(path)
        assert element is not None, path
        element.text = value
    if processes is not None:
        old = gpu.find("processes")
        assert old is not None
        gpu.remove(old)
        gpu.append(ElementTree.fromstring(processes))
    return '<?xml version="1.0" ?>\n' + ElementTree.tostring(tree, encoding="unicode")


def said(**sections: str | Section) -> Said:
    """A rented container with one H100, as facts.sh tells it; the sections named are changed or added.

    A text that is "-" takes the section away.
    """
    told: dict[str, str | Section] = {
        "who": "0\nroot\n",
        "system": "x86_64\n5.15.0-91-generic\n",
        "processors": "128\n",
        "programs": "python3\ncurl\n",
        "environment": "container=docker\nVAST_TCP_PORT_22=41022\nVAST_TCP_PORT_8642=41642\n",
        "connection": "198.51.100.7 50000 172.17.0.2 22\n",
        "file /etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\n',
        "file /proc/meminfo": MEMINFO,
        "file /proc/self/mounts": MOUNTS,
        "file /proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9554\nflags\t\t: fpu\n",
        "file /proc/net/tcp": "  sl\n   0: 00000000:0016 00000000:0000 0A x\n   1: 0100007F:1F90 0:0 01 x\n",
        "file /sys/fs/cgroup/memory.max": "max\n",
        "pci": "0000:00:00.0 0x8086 0x0d57 0x060000\n0000:1a:00.0 0x10de 0x2330 0x030200\n",
        "disk overlay /": f"writable\n{DF}overlay 62914560 1 20971520 67% /\n",
        "disk ext4 /root/autodl-tmp": f"writable\n{DF}/dev/vdb1 524288000 1 419430400 20% /root/autodl-tmp\n",
        "smi /usr/bin/nvidia-smi": smi_says("h100-80gb"),
        "nvlink": "GPU 0: NVIDIA H100 (UUID: GPU-1)\n\t Link 0: 26.562 GB/s\n\t Link 1: 26.562 GB/s\n",
        "processes": "1 sshd\n77 sh\n",
    }
    told |= sections
    return Said(
        tuple(
            text if isinstance(text, Section) else Section(name, text, 0)
            for name, text in told.items()
            if text != "-"
        )
    )


def box(**sections: str | Section) -> Box:
    return read_box(said(**sections))


def card(**changes: Any) -> Card:
    """The healthy H100 of the recording, changed."""
    return replace(box().smi.cards[0], **changes)


def with_cards(*cards: Card, **changes: Any) -> Examined:
    """The healthy box with other cards."""
    healthy = examined()
    smi = replace(healthy.box.smi, cards=tuple(cards))
    return replace(healthy, box=replace(healthy.box, smi=smi, **changes))


def examined(**changes: Any) -> Examined:
    """A healthy box, measured, changed."""
    healthy = Examined(
        box=box(),
        skew=Skew(0.2, 0.1),
        disk=Disk("/root/autodl-tmp", "ext4", 430 * GB, 537 * GB, True, True, False),
        disk_speed=DiskSpeed(Flow(512 * 2**20, 0.5), Flow(512 * 2**20, 0.25), False, False, None),
        lines=(LineSpeed("https://mirror.example/file", Flow(400_000_000, 8.0), None),),
        line_asked=True,
    )
    return replace(healthy, **changes)


NEEDS = Needs(
    model="large",
    release="seed",
    architectures=("x86_64",),
    gpu_bytes=80 * GB,
    gpu_from="as the catalogue states",
    memory_bytes=8 * GB,
    disk_bytes=60 * GB,
    fetch_bytes=52 * GB,
    weights_bytes=49 * GB,
    driver_floor="550.54.14",
)
"""Of a model of 49 GB on one GPU: round figures near those of the 90B model."""
