"""Which release a host gets where the person leaves that to the probe: with CUDA or for the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.plan.reading import read_or_none

AUTO = "auto"
WITH_CUDA = "seed-cu124"
FOR_CPUS = "cpu"
OF_ENGINE = {"vllm": {WITH_CUDA: "vllm-cu130", FOR_CPUS: "vllm-cpu"}}
"""Engines with releases of their own, in place of those above."""
WITHOUT_TORCH = {"llamacpp": "llamacpp-cpu", "localai": "localai-cpu", "gateway": "gateway"}
"""Engines that bring no PyTorch, and the one release that carries each."""


def choose_release(wished: str, device: str, facts: Mapping[str, Any], engine: str = "") -> tuple[str, str]:
    """Return the release's name and why, "" where the person named it.

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
    return OF_ENGINE.get(engine, {}).get(chosen, chosen), why


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
