"""Where driver and CUDA toolkit can come from on which distribution: facts, no logic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SourceName = Literal["debian", "nvidia", "ubuntu"]


@dataclass(frozen=True, slots=True)
class HostSource:
    """What one source offers: the driver's version (or branch), CUDA toolkits, NVSwitch's Fabric Manager.

    `tried`: whether this project has installed from it. The packages' names stand in the roles' vars.
    """

    name: SourceName
    driver: str
    cuda: tuple[str, ...]
    fabric_manager: bool
    tried: bool


_NVIDIA = HostSource("nvidia", "550.163.01", ("12.4",), fabric_manager=True, tried=False)
_UBUNTU = HostSource("ubuntu", "570", (), fabric_manager=True, tried=False)

SOURCES: dict[tuple[str, str], tuple[HostSource, ...]] = {
    ("debian", "13"): (HostSource("debian", "550.163.01", ("12.4",), fabric_manager=False, tried=True),),
    ("debian", "12"): (
        HostSource("debian", "535.261.03", ("11.8",), fabric_manager=False, tried=False),
        _NVIDIA,
    ),
    ("ubuntu", "22.04"): (_UBUNTU, _NVIDIA),
    ("ubuntu", "24.04"): (_UBUNTU,),
}
"""By os-release's ID and VERSION_ID, the distribution's own packages first.

NVIDIA's repository for Debian 13 begins with CUDA 13, and its repository for Debian 12 is signed in a way
that Debian 13 refuses since 2026; that for Ubuntu 24.04 begins with CUDA 12.5. Whoever names the source
`nvidia` may still take a repository of their choice there (docs/gpu-host.md).
"""

NAMED_NVIDIA = _NVIDIA
"""What is believed of NVIDIA's repository where a person names it on a distribution that the table lacks."""

CUDA_FLOORS = {"11.8": "520.61.05", "12.1": "530.30.02", "12.4": "550.54.14", "12.6": "560.28.03"}
"""The driver that each CUDA came with (NVIDIA's CUDA release notes, table of toolkit and driver versions)."""

NEWEST_FOR_550 = 0x28FF
"""PCI device ids above are Blackwell's, which need a driver of branch 570 or later."""

OLDEST_FOR_550 = 0x1340
"""PCI device ids below are older than Maxwell, which no driver since branch 495 takes."""

OLDEST_FOR_OPEN = 0x1E00
"""PCI device ids below are older than Turing: the open kernel modules do not drive them."""

BYTES = {
    # Measured on Debian 13: what apt-get says, fetched and in place together.
    "driver": 1_000_000_000,
    "cuda": 7_300_000_000,
    # The wheel, and what is in it; the container toolkit was not installed here.
    "cudnn": 2_000_000_000,
    "container_toolkit": 100_000_000,
}
"""What each part takes on the disk of the system while it is installed, in bytes."""
