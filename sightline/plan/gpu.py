"""What a model and a release ask of the GPUs, their memory left aside (fit.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline.fit import Card, card_listed_as
from sightline.plan.gpu_side import gpu_side, needs_gpu
from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple

_HARMFUL = {
    "hw_slowdown": "the board's own protection",
    "hw_thermal_slowdown": "heat",
    "hw_power_brake_slowdown": "the power supply's brake",
    "sw_thermal_slowdown": "heat",
}
"""Reasons for lower clocks that something is wrong behind; idling and a power cap are none."""


def gpu_is_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A GPU is there where one is needed; whether the model fits it is fit.py's to say."""
    if not needs_gpu(there):
        return
    side = gpu_side(there)
    name = there.model["name"]
    if side.empty_box:
        said = read_or_none(side.smi, "said", str) or ("it lists none" if side.smi else "it is not there")
        yield Objection(
            f"the box has no GPU (nvidia-smi: {said})",
            f"a container is given its GPU at its start; {name} in release {there.release['name']} needs one",
            "start the box again with a GPU (rental houses also start boxes without one, to save money); if "
            "it had one until now and the house has none left, take another box on the same disk",
        )
        return
    if not side.listed:
        # Cards that a driver does not list are the driver's trouble, and its checks tell of it.
        if side.cards == 0 or (side.cards is None and (side.smi is None or side.smi_code == 0)):
            yield Objection(
                "the host shows no NVIDIA GPU",
                f"{name} in release {there.release['name']} needs one",
                "use a host with a GPU (a rented box can be started without), or the canary in release cpu"
                + _on_cpu(there),
            )
        return


def _on_cpu(there: Situation) -> str:
    serving = there.serving
    if serving is None or serving["needs_gpu"]:
        return ""
    return "; this release itself computes on the CPU, slowly, with -e sightline_device=cpu"


def release_computes_on_gpu(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The release has kernels for the cards that are there; a card that nobody here knows is let pass."""
    if not needs_gpu(there):
        return
    names = dict.fromkeys(read_or_none(gpu, "name", str) or "" for gpu in gpu_side(there).listed)
    for card in filter(None, map(card_listed_as, names)):
        yield from kernels_for(there.release, card)


def kernels_for(release: Mapping[str, Any], card: Card) -> Iterator[Objection]:
    """A card that is older or newer than all that the release was built for."""
    built = release.get("gpu_compute")
    if built is None or card.compute is None:
        return
    least, above = version_tuple(built["minimum"]), version_tuple(built["below"])
    if not least <= version_tuple(card.compute) < above:
        yield Objection(
            f"release {release['name']} has no kernels for {card.title}",
            f"its compute capability is {card.compute}; the release was built for {built['minimum']} up to "
            f"below {built['below']}",
            "use another card (scripts/plan --gpus lists them), or a release that was built for this one",
        )


def bfloat16_notes(model: Mapping[str, Any], card: Card) -> list[str]:
    """Say that a card older than compute capability 8.0 has no arithmetic for a model's bfloat16.

    Source: vLLM's refusal ("Bfloat16 is only supported on GPUs with compute capability of at least 8.0").
    """
    if model["quantisation"]["compute_dtype"] != "bfloat16" or card.compute is None:
        return []
    if version_tuple(card.compute) >= (8, 0):
        return []
    return [
        f"{model['name']} computes in bfloat16; {card.title} (compute capability {card.compute}, below 8.0) "
        "has no arithmetic for it: it is emulated slowly or refused, and float16 may overflow"
    ]


def fabric_is_up(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """GPUs behind NVSwitch have been joined by Fabric Manager, without which CUDA does not start on them."""
    if not needs_gpu(there):
        return
    side = gpu_side(there)
    waiting = [gpu for gpu in side.listed if read_or_none(gpu, "fabric", str) == "In Progress"]
    if waiting:
        yield Objection(
            f"{len(waiting)} of {len(side.listed)} GPUs wait for NVSwitch to be set up",
            "no CUDA program starts on them until Fabric Manager has done that",
            "it is the machine beneath's to mend: take another box"
            if side.boxed
            else "install nvidia-fabricmanager in the driver's very version and start it (systemctl enable "
            "--now nvidia-fabricmanager); after a start of the machine give it a minute",
        )


def gpu_notes(there: Situation) -> list[str]:
    """What is worth knowing of GPUs that work: one that is missing, memory errors, slowed clocks."""
    try:
        if not needs_gpu(there):
            return []
        side = gpu_side(there)
    except Unreadable:
        return []
    notes = []
    if side.listed and not side.boxed and (side.cards or 0) > len(side.listed):
        notes.append(
            f"PCI shows {side.cards} NVIDIA GPUs, the driver lists {len(side.listed)}: the others are broken "
            "or given to virtual machines"
        )
    names = dict.fromkeys(read_or_none(gpu, "name", str) or "" for gpu in side.listed)
    for card in filter(None, map(card_listed_as, names)):
        notes += bfloat16_notes(there.model, card)
    for position, gpu in enumerate(side.listed):
        who = f"GPU {position} ({read_or_none(gpu, 'name', str) or '?'})"
        if errors := read_or_none(gpu, "ecc.volatile_uncorrected", int):
            notes.append(
                f"{who} has had {errors} uncorrected memory error(s) since its driver was loaded: reset it "
                "or take another card"
            )
        reasons = read_or_none(gpu, "clock_reasons", list) or []
        slowed = list(dict.fromkeys(_HARMFUL[name] for name in _HARMFUL if name in reasons))
        if slowed:
            notes.append(f"{who} is being slowed by {' and '.join(slowed)}")
    return notes
