"""Why a host's GPUs cannot be used though they are there: the checks of its NVIDIA driver.

All of them are silent where the release needs no GPU, and where the driver lists GPUs except for the last.
Where a driver is still to come (host_side.py) most are silent too: they are asked again once it is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.gpu_side import GpuSide, gpu_side, needs_gpu
from sightline.plan.host_side import driver_is_to_come
from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read, read_or_none
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple

_RELOAD = "rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia"

_SMI_REMEDIES = {
    4: "run it as a user who may open /dev/nvidia* (group video, or root)",
    9: "load the module (modprobe nvidia) and read what the kernel says (dmesg | grep -i nvrm); if there is "
    "none for this kernel, install its headers and build it (dkms autoinstall)",
    12: "install the driver's libraries beside its kernel module (libnvidia-ml.so.1 is missing)",
    15: "a GPU has fallen off the bus: power the machine off and on; if it happens again, have it checked",
}
"""By nvidia-smi's exit code, as its manual page lists them under "return value"."""


def driver_halves_agree(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The kernel module and the libraries are of one version."""
    if not _concerned(there) or not (side := gpu_side(there)).halves_differ:
        return
    found = f"the NVIDIA kernel module is {side.module or '?'}, the libraries are {side.library or '?'}"
    why = "CUDA and nvidia-smi refuse to start until they are of one version"
    if side.boxed:
        remedy = "the machine beneath the container was updated: restart the box, or take another"
    elif side.reboot_possible:
        remedy = f"reboot the host, or with nothing running on the GPU reload the module: {_RELOAD}"
    else:
        remedy = f"reload the module with nothing running on the GPU: {_RELOAD}"
    yield Objection(found, why, remedy)


def nouveau_is_not_loaded(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The free driver does not hold the cards."""
    if not _concerned(there) or not (side := gpu_side(there)).nouveau_holds:
        return
    if side.blacklisted:
        remedy = (
            "it is blacklisted already but was loaded before: run update-initramfs -u and reboot the host"
        )
    else:
        remedy = (
            "write 'blacklist nouveau' and 'options nouveau modeset=0' into a file of /etc/modprobe.d, "
            "run update-initramfs -u, and reboot the host"
        )
    yield Objection(
        "the nouveau driver holds the GPU",
        "NVIDIA's driver cannot take a card that another driver has, and nouveau runs no CUDA",
        remedy,
    )


def secure_boot_lets_the_module_in(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Where Secure Boot is on, the kernel takes the module: then it is loaded already."""
    if not needs_gpu(there) or not gpu_side(there).unsigned:
        return
    yield Objection(
        "Secure Boot is on and no NVIDIA kernel module is loaded",
        "the kernel refuses a module that is not signed with a key it knows, and DKMS signs with a new one",
        "enrol that key (mokutil --import /var/lib/dkms/mok.pub, reboot, confirm at the console); or turn "
        "Secure Boot off in the firmware; or install modules that the distribution signed "
        "(Ubuntu: linux-modules-nvidia-550-server-$(uname -r))",
    )


def driver_is_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A driver is installed, or is to come."""
    if not _concerned(there) or not _lacks_driver(side := gpu_side(there)):
        return
    floor = there.release["driver"] and there.release["driver"]["floor"]
    wanted = f"driver {floor} or newer" if floor else "NVIDIA's driver"
    shown = f"PCI shows {_count(side.cards)}" if side.cards else "the host has a GPU"
    yield Objection(
        f"{shown}, but there is no NVIDIA driver",
        f"release {there.release['name']} needs {wanted}",
        "let Sightline install one (-e sightline_driver=auto), install it, or rent a box that brings it",
    )


def _concerned(there: Situation) -> bool:
    """A GPU is needed, and its driver is not one that is still to come."""
    return needs_gpu(there) and not driver_is_to_come(there)


def _lacks_driver(side: GpuSide) -> bool:
    return side.state == "absent" and (side.dark_cards or bool(side.listed))


def smi_answers(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """nvidia-smi, where it is there, ends well; what other checks explain is left to them."""
    if not _concerned(there):
        return
    side = gpu_side(there)
    if side.listed or side.empty_box or side.halves_differ or side.nouveau_holds or side.unsigned:
        return
    # Without a card there is nothing to answer: that is gpu_is_there's to say.
    if side.smi is None or side.smi_code == 0 or side.cards == 0 or side.state == "absent":
        return
    code, said = side.smi_code, read_or_none(side.smi, "said", str)
    path = read_or_none(side.smi, "path", str) or "nvidia-smi"
    yield Objection(
        f"{path} {f'fails with exit code {code}' if code is not None else 'does not end'}"
        f"{f': {said}' if said else ''}",
        "no CUDA program will do better",
        _SMI_REMEDIES.get(
            code or 0, "read what the kernel says (dmesg | grep -i nvrm), then reboot the host"
        ),
    )


def driver_lists_the_cards(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The cards that PCI shows are the driver's."""
    if not _concerned(there):
        return
    side = gpu_side(there)
    if not side.dark_cards or side.halves_differ or side.nouveau_holds or side.unsigned:
        return
    if side.state == "absent" or (side.smi is not None and side.smi_code != 0):
        return
    if side.smi is None:
        yield Objection(
            f"PCI shows {_count(side.cards)} and a driver is installed, but there is no nvidia-smi",
            "without it nobody can tell whether the driver works",
            "install it (nvidia-smi on Debian, nvidia-utils-550-server on Ubuntu) and run modprobe nvidia",
        )
        return
    yield Objection(
        f"PCI shows {_count(side.cards)}, the driver lists none",
        "CUDA sees what the driver lists",
        "read what the kernel says of the card (dmesg | grep -i nvrm): it may be given to a virtual machine "
        "(vfio), too old or too new for this driver, or broken",
    )


def driver_is_new_enough(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The NVIDIA driver is at or above the release's floor, where there is a GPU to drive."""
    floor = there.release["driver"] and there.release["driver"]["floor"]
    if not floor or not (side := gpu_side(there)).listed or side.state == "absent":
        return
    if side.state not in ("installed", "injected"):
        raise Unreadable("driver.state", side.state)
    version = read(there.facts, "driver.version", str)
    if not version_tuple(version):
        raise Unreadable("driver.version", version)
    if version_tuple(version) < version_tuple(floor):
        remedy = {
            "injected": "it belongs to the machine beneath the container and cannot be replaced from here: "
            "choose a box with a newer driver",
            "installed": "install a newer driver",
        }[side.state]
        yield Objection(
            f"the NVIDIA driver is {version}",
            f"release {there.release['name']} needs {floor} or newer",
            remedy,
        )


def _count(cards: int | None) -> str:
    return f"{cards} NVIDIA GPU{'' if cards == 1 else 's'}"
