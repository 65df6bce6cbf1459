"""What a model and a release ask of GPU and driver, as far as it is certain without an estimate of memory."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.interpreter import version_tuple
from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read
from sightline.plan.render import human_bytes
from sightline.plan.situation import Situation


def _needs_gpu(there: Situation) -> bool:
    serving = there.serving
    return there.release["accelerator"] == "cuda" or bool(serving and serving["needs_gpu"])


def gpu_is_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A GPU is there where one is needed, and the weights alone are not larger than all GPUs' memory."""
    if not _needs_gpu(there):
        return
    gpus = read(there.facts, "gpus", list)
    name = there.model["name"]
    if not gpus:
        yield Objection(
            "the host shows no NVIDIA GPU",
            f"{name} in release {there.release['name']} needs one",
            "use a host with a GPU (a rented box can be started without), or the canary in release cpu",
        )
        return
    memory = 0
    for position, gpu in enumerate(gpus):
        size = gpu.get("memory_bytes") if isinstance(gpu, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
            raise Unreadable(f"gpus[{position}].memory_bytes", size)
        memory += size
    if there.release["accelerator"] == "cuda" and there.weights > memory:
        yield Objection(
            f"the weights of {name} are {human_bytes(there.weights)}; all GPUs have {human_bytes(memory)}",
            "the weights alone do not fit",
            "use larger or more GPUs, or a smaller or more quantised model",
        )


def driver_is_new_enough(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The NVIDIA driver is at or above the release's floor, where there is a GPU to drive."""
    floor = there.release["driver"] and there.release["driver"]["floor"]
    if not floor or not read(there.facts, "gpus", list):
        return
    state = read(there.facts, "driver.state", str)
    if state == "absent":
        yield Objection(
            "the host has a GPU but no NVIDIA driver",
            f"release {there.release['name']} needs driver {floor} or newer",
            "install the driver, or rent a box whose image brings it",
        )
        return
    if state not in ("installed", "injected"):
        raise Unreadable("driver.state", state)
    version = read(there.facts, "driver.version", str)
    if not version_tuple(version):
        raise Unreadable("driver.version", version)
    if version_tuple(version) < version_tuple(floor):
        remedy = {
            "injected": "it belongs to the machine beneath the container and cannot be replaced from here: "
            "choose a box with a newer driver",
            "installed": "install a newer driver",
        }[state]
        yield Objection(
            f"the NVIDIA driver is {version}",
            f"release {there.release['name']} needs {floor} or newer",
            remedy,
        )
