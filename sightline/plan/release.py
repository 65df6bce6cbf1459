"""Which release a host gets where the person leaves that to the probe: with CUDA or for the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sightline.catalogue import load_release
from sightline.plan.reading import read_or_none

AUTO = "auto"
WITH_CUDA = "seed-cu124"
FOR_CPUS = "cpu"
OF_ENGINE = {"vllm": {WITH_CUDA: "vllm-cu130", FOR_CPUS: "vllm-cpu"}}
"""Engines with releases of their own, in place of those above."""
WITHOUT_TORCH = {"llamacpp": "llamacpp-cpu", "localai": "localai-cpu", "gateway": "gateway"}
"""Engines that bring no PyTorch, and the one release that carries each."""


def releases_of(model: Mapping[str, Any], engine: str) -> dict[str, str]:
    """Return the releases that a model's entry names for an engine, in order, each with its accelerator.

    Raises CatalogueError: one of them is not in the catalogue.
    """
    names = [
        name
        for serving in model["engines"]["can_serve"]
        if serving["engine"] == engine
        for name in serving["releases"]
    ]
    return {name: load_release(name)["accelerator"] for name in names}


def choose_release(
    wished: str,
    device: str,
    facts: Mapping[str, Any],
    engine: str = "",
    served_by: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, str]:
    """Return the release's name and why, "" where the person named it.

    `served_by` are the releases that can serve the model, as `releases_of` gives them: a model that the usual
    one cannot serve gets the first of these for the same device.

    A card, or a driver that was put into a container, takes the one with CUDA also where it does not work
    just now: the plan then says what is wrong, and a host never turns to its CPU unasked. In a container the
    cards on the bus are those of the machine beneath, and tell nothing.
    """
    if wished != AUTO:
        return wished, ""
    if engine in WITHOUT_TORCH:
        return WITHOUT_TORCH[
            engine
        ], f"it is the one with {engine}; it computes on the CPU, whatever GPU there is"
    chosen, why = _by_device(device, facts)
    usual = OF_ENGINE.get(engine, {}).get(chosen, chosen)
    accelerator = "cuda" if chosen == WITH_CUDA else "cpu"
    instead = next((name for name, its in served_by.items() if its == accelerator), usual)
    if usual in served_by or instead == usual:
        return usual, why
    return instead, f"{why}, and {usual} does not serve this model"


def _by_device(device: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    if device == "cpu":
        return FOR_CPUS, "sightline_device asks for the CPU"
    listed = read_or_none(facts, "gpus", list) or []
    if listed:
        names = sorted({str(card.get("name", "?")) for card in listed if isinstance(card, dict)})
        return WITH_CUDA, f"the driver lists {len(listed)} GPU(s): {', '.join(names)}"
    if read_or_none(facts, "driver.state", str) == "injected":
        return WITH_CUDA, "an NVIDIA driver was put into the container"
    contained = read_or_none(facts, "surroundings.container", str) is not None
    on_bus = read_or_none(facts, "pci.gpus", list) or []
    if on_bus and not contained:
        return WITH_CUDA, "there is an NVIDIA GPU on the bus"
    return FOR_CPUS, "no NVIDIA GPU was found"
