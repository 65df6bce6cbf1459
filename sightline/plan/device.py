"""What the server computes on, where a person asked for something else than the release is made for."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation, computes_on


def device_is_possible(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The release can compute on what was asked for, and so can the engine with this model."""
    asked = read_or_none(there.settings, "device", str) or "auto"
    name, model = there.release["name"], there.model["name"]
    if asked not in ("auto", "cpu", "cuda"):
        yield Objection(
            f"there is no device {asked!r}",
            "the server computes on cpu or cuda",
            "set sightline_device to auto",
        )
    if asked == "cuda" and there.release["accelerator"] != "cuda":
        yield Objection(
            f"release {name} has no CUDA",
            "sightline_device=cuda asks for a GPU",
            "choose a release with CUDA (scripts/catalogue lists them), or leave sightline_device out",
        )
    serving = there.serving
    if asked == "cpu" and serving and serving["needs_gpu"]:
        yield Objection(
            f"{model} in release {name} needs a GPU",
            "sightline_device=cpu asks for the CPU",
            "leave sightline_device out and use a host with a GPU, or deploy a model that runs on CPUs",
        )


def device_notes(there: Situation) -> list[str]:
    """Say that a release for GPUs computes on the CPU, so that nobody wonders at its speed."""
    if there.release["accelerator"] == "cuda" and computes_on(there) == "cpu":
        name = there.release["name"]
        return [f"it computes on the CPU, as sightline_device says; release {name} is made for GPUs"]
    return []
