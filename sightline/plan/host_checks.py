"""Why driver, CUDA toolkit and the like cannot be installed: what has to be so before that begins."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.apt import apt_is_free
from sightline.plan.checks import Check
from sightline.plan.gpu_side import gpu_side
from sightline.plan.host_side import HostSide, allowed, device_id, driver_is_to_come, host_side, sources, wish
from sightline.plan.host_sources import BYTES, NEWEST_FOR_550, OLDEST_FOR_550
from sightline.plan.outcome import Objection, Share
from sightline.plan.reading import Unreadable, read, read_or_none
from sightline.plan.render import human_bytes
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple

_WISHES = {
    "driver": ("auto", "install", "keep"),
    "source": ("auto", "debian", "nvidia", "ubuntu"),
    "cudnn": ("auto", "none", "wheel", "nvidia"),
}
_NAMES = {
    "driver": "sightline_driver",
    "source": "sightline_driver_source",
    "cudnn": "sightline_cudnn",
}


def wishes_are_known(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """What a person asked for is one of what there is."""
    for name, known in _WISHES.items():
        asked = wish(there, name)
        if asked not in known:
            yield Objection(
                f"{_NAMES[name]} is {asked!r}",
                f"it is one of {', '.join(known)}",
                f"set {_NAMES[name]} to one of them, or leave it out",
            )


def host_can_be_changed(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Packages can be installed at all: as root, by dpkg, on a known machine, and nobody else is at it."""
    wanted = host_side(there)
    if not wanted.installs:
        return
    what = " and ".join(name.replace("_", " ") for name in wanted.installs)
    if read(there.facts, "uid", int) != 0:
        user = read_or_none(there.facts, "user", str) or "the connecting user"
        yield Objection(
            f"{user} may not install the {what}",
            "that takes root",
            "connect as root or let Ansible become root, have somebody with root install it, "
            "or rent a box that brings it",
        )
        return
    if (
        read_or_none(there.facts, "packages.manager", str) != "dpkg"
        or read(there.facts, "arch", str) != "x86_64"
    ):
        yield Objection(
            f"the {what} cannot be installed here",
            "this kit installs packages of Debian and Ubuntu for x86_64",
            "install it by the distribution's own means, then run this again",
        )
        return
    yield from apt_is_free(there, changing)


def sources_have_it(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A source of this distribution has what is wanted."""
    wanted = host_side(there)
    place = read_or_none(there.facts, "distribution.name", str) or "this distribution"
    if wanted.driver.doing == "install" and not wanted.driver.source:
        floor = f"driver {wanted.floor} or newer" if wanted.floor else "a driver"
        switches = " with Fabric Manager, which GPUs behind NVSwitch need" if wanted.fabric_manager else ""
        known = ", ".join(f"{source.name} ({source.driver})" for source in sources(there)) or "none"
        yield Objection(
            f"no source of {place} has {floor}{switches}",
            f"there is {known}",
            "name NVIDIA's repository (-e sightline_driver_source=nvidia, docs/gpu-host.md), use one of the "
            "distributions listed there, or install the driver yourself",
        )
    if wanted.cuda.doing == "install" and not wanted.cuda.source:
        yield Objection(
            f"no source of {place} has the CUDA toolkit {wanted.cuda.version}",
            "it was asked for by sightline_cuda",
            "leave sightline_cuda out (PyTorch brings CUDA's libraries itself), or name NVIDIA's repository "
            "(-e sightline_driver_source=nvidia)",
        )


def driver_takes_the_cards(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The cards are neither too new nor too old for the driver that would come."""
    wanted = host_side(there)
    if wanted.driver.doing != "install" or not wanted.driver.source:
        return
    branch = version_tuple(wanted.driver.version)[:1]
    for card in read_or_none(there.facts, "pci.gpus", list) or []:
        number = device_id(card)
        if number is None:
            continue
        who = f"the card at {read_or_none(card, 'address', str) or '?'} (10de:{number:04x})"
        if number > NEWEST_FOR_550 and branch < (570,):
            yield Objection(
                f"{who} is too new for driver {wanted.driver.version}",
                "cards of the Blackwell generation need branch 570 or later",
                "install such a driver yourself (NVIDIA's repository has them), then run this again",
            )
        elif number < OLDEST_FOR_550:
            yield Objection(
                f"{who} is too old for driver {wanted.driver.version}",
                "it is older than Maxwell, which CUDA 12 does not run on",
                "use a newer card, or the canary in release cpu",
            )


def reboot_is_allowed(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Where the host has to start anew for its driver, that is allowed and possible."""
    if not driver_is_to_come(there) or not (side := gpu_side(there)).nouveau_holds:
        return
    why = "NVIDIA's driver cannot take a card that another driver has, so the host must start anew after it"
    if not side.reboot_possible:
        yield Objection(
            "the nouveau driver holds the GPU",
            f"{why}, which cannot be done from here",
            "blacklist nouveau and start the host anew yourself, then run this again",
        )
    elif allowed(there, "local"):
        yield Objection(
            "the nouveau driver holds the GPU",
            f"{why}, and this very machine runs the deployment",
            "blacklist nouveau (/etc/modprobe.d: 'blacklist nouveau', 'options nouveau modeset=0'), run "
            "update-initramfs -u, reboot, then run this again",
        )
    elif not allowed(there, "reboot_allowed"):
        yield Objection(
            "the nouveau driver holds the GPU",
            why,
            "allow that: -e sightline_reboot_allowed=true (it is awaited), or blacklist nouveau and reboot "
            "yourself",
        )


def system_disk_has_room(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Packages fit on the disk of the system."""
    shares = host_shares(host_side(there))
    if not shares:
        return
    disks = read_or_none(there.facts, "disks", list) or []
    system = next((disk for disk in disks if read_or_none(disk, "path", str) == "/"), None)
    free = read_or_none(system, "free_bytes", int)
    if free is None:
        return
    needed = sum(share.bytes for share in shares)
    if free < needed:
        parts = " + ".join(f"{share.what} {human_bytes(share.bytes)}" for share in shares)
        yield Objection(
            f"{human_bytes(free)} free on the system's disk, {human_bytes(needed)} needed",
            f"{parts} will not fit",
            f"free {human_bytes(needed - free)} on /, or leave the CUDA toolkit out (-e sightline_cuda=none)",
        )


def host_shares(wanted: HostSide) -> tuple[Share, ...]:
    """What is written to the disk of the system, in bytes, as far as it was measured."""
    return tuple(Share(name.replace("_", " "), BYTES[name]) for name in wanted.installs)


def host_notes(there: Situation) -> list[str]:
    """What is worth knowing about what is installed, and what is left out without having been asked for."""
    try:
        wanted = host_side(there)
    except Unreadable:
        return []
    notes = []
    version = there.release["cuda"]
    known = {cuda for source in sources(there) for cuda in source.cuda}
    if wanted.driver.doing != "none" and wish(there, "cuda") == "auto" and version and version not in known:
        notes.append(
            f"no source of this distribution has the CUDA toolkit {version}, so nvcc is left out; PyTorch "
            "brings CUDA's libraries itself"
        )
    if wanted.driver.doing == "install" and wanted.kind == "open":
        notes.append(
            "the open kernel module is tried first; where it does not build on the host's kernel, the "
            "proprietary one is taken, and that is told"
        )
    return notes


HOST_CHECKS: tuple[tuple[str, Check], ...] = (
    ("driver", wishes_are_known),
    ("driver", host_can_be_changed),
    ("driver", sources_have_it),
    ("driver", driver_takes_the_cards),
    ("driver", reboot_is_allowed),
    ("driver", system_disk_has_room),
)
"""Each check with the step that it stops."""
