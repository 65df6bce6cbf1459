"""What the probe saw of cards and driver, and the few judgements that several checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.plan.reading import read, read_or_none
from sightline.plan.situation import Situation, computes_on

VERSIONS_DIFFER = 18
"""nvidia-smi's exit code for "Driver/library version mismatch" (NVML_ERROR_LIB_RM_VERSION_MISMATCH)."""


@dataclass(frozen=True, slots=True)
class GpuSide:
    """The GPU side of one host.

    `listed`: the GPUs that the driver shows. `cards`: how many the PCI bus shows, None where it cannot be
    seen. `module` and `library`: versions of the driver's two halves. `smi`: how nvidia-smi ended, None
    where there is none.
    """

    listed: list[Any]
    cards: int | None
    state: str
    module: str | None
    library: str | None
    smi: dict[str, Any] | None
    boxed: bool
    nouveau: bool
    blacklisted: bool
    secure_boot: bool
    reboot_possible: bool

    @property
    def halves_differ(self) -> bool:
        """Kernel module and libraries are of two versions. A driver that lists GPUs has two equal halves."""
        if self.listed or self.state == "absent" or (self.boxed and self.state != "injected"):
            return False
        known = bool(self.module and self.library)
        return (known and self.module != self.library) or self.smi_code == VERSIONS_DIFFER

    @property
    def smi_code(self) -> int | None:
        """nvidia-smi's exit code; None where it gave none."""
        return read_or_none(self.smi, "code", int)

    @property
    def empty_box(self) -> bool:
        """A container that was given no GPU, whatever the bus of the machine beneath shows."""
        return self.boxed and not self.listed and not self.halves_differ

    @property
    def dark_cards(self) -> bool:
        """Cards are plugged into this very machine, and no driver lists them."""
        return not self.listed and not self.boxed and bool(self.cards)

    @property
    def nouveau_holds(self) -> bool:
        """The free driver has the cards, so NVIDIA's cannot take them."""
        return self.dark_cards and self.nouveau and self.module is None

    @property
    def unsigned(self) -> bool:
        """Secure Boot is on and no module of NVIDIA's is loaded."""
        return self.dark_cards and self.secure_boot and self.module is None


def needs_gpu(there: Situation) -> bool:
    """Whether the release, or the engine for this model in it, runs on a GPU.

    A release with CUDA also computes on a CPU, but only where a person asked for that (device.py).
    """
    serving = there.serving
    return computes_on(there) == "cuda" or bool(serving and serving["needs_gpu"])


def gpu_side(there: Situation) -> GpuSide:
    """Read the GPU side out of the facts.

    Raises:
        Unreadable: the facts hold no list of GPUs or no state of the driver. What a probe may be unable to
            see (PCI bus, versions, Secure Boot) is taken as not seen.
    """
    facts = there.facts
    listed = read(facts, "gpus", list)
    state = read(facts, "driver.state", str)
    cards = read_or_none(facts, "pci.gpus", list)
    container = read_or_none(facts, "surroundings.container", str)
    # A container with an init of its own is a system that may have its own driver; others are given one.
    boxed = state == "injected" or (container is not None and read_or_none(facts, "init", str) != "systemd")
    return GpuSide(
        listed=listed,
        cards=len(cards) if cards is not None and read_or_none(facts, "pci.listed", bool) else None,
        state=state,
        module=read_or_none(facts, "driver.module_version", str),
        library=read_or_none(facts, "driver.library_version", str),
        smi=read_or_none(facts, "driver.smi", dict),
        boxed=boxed,
        nouveau=bool(read_or_none(facts, "kernel_modules.nouveau.loaded", bool)),
        blacklisted=bool(read_or_none(facts, "kernel_modules.nouveau.blacklisted", bool)),
        secure_boot=bool(read_or_none(facts, "kernel_modules.secure_boot", bool)),
        reboot_possible=bool(read_or_none(facts, "surroundings.reboot_possible", bool)),
    )
