"""NVIDIA's devices on the PCI bus: what is plugged in, whatever a driver makes of it."""

from __future__ import annotations

from pathlib import Path

from .reading import Facts, matching, text_of

NVIDIA = "0x10de"
DISPLAY, BRIDGE = "0x03", "0x0680"


def read_pci(root: Path) -> Facts:
    """NVIDIA's GPUs and NVSwitch bridges as the kernel lists them: address, device id and class of each.

    `listed` is False where the host shows no PCI bus at all (some containers): then nothing follows from
    empty lists. In a container the lists may hold cards of the machine beneath that this box doesn't have.
    Source of the classes: the PCI code and ID assignment (03: display controllers, 0680: other bridges).
    """
    devices = matching(root, "sys/bus/pci/devices/*")
    gpus, switches = [], []
    for device in devices:
        if text_of(device / "vendor").strip().lower() != NVIDIA:
            continue
        kind = text_of(device / "class").strip().lower()
        found = {
            "address": device.name,
            "device": text_of(device / "device").strip().lower(),
            "class": kind,
        }
        if kind.startswith(DISPLAY):
            gpus.append(found)
        elif kind.startswith(BRIDGE):
            switches.append(found)
    return {
        "listed": bool(devices),
        "gpus": gpus,
        "nvswitches": switches,
        "fabric_manager_needed": bool(switches),
    }
