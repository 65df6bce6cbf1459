"""The weights of a model in memory: the bytes of its files, or its parameters times their bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.fit.architecture import Architecture
from sightline.fit.engines import Device, Engine
from sightline.fit.errors import CannotEstimate
from sightline.fit.formulas import quantised_bytes
from sightline.fit.terms import Basis, Term

_WEIGHTS = ("weights", "projector")


def weights_term(
    model: Mapping[str, Any], architecture: Architecture, engine: Engine, device: Device
) -> Term:
    """Return the weights as the engine holds them.

    On a GPU that is what lies in the files (a tensor's header apart). On a CPU sightline-serve widens 16-bit
    weights to float32; llama.cpp maps its files as they are.

    Raises:
        CannotEstimate: neither sizes nor parameters are known.
    """
    files = weight_files(model, engine)
    named = ", ".join(_shortened([file["path"] for file in files]))
    basis: Basis
    if files and all(file["size"] for file in files):
        size, basis, says = sum(file["size"] for file in files), "exact", f"bytes of {named}"
    elif files and all(file["size"] or file.get("approx_size") for file in files):
        size = sum(int(file["size"] or file["approx_size"]) for file in files)
        basis, says = "published", f"bytes of {named}, as a page rounds them"
    else:
        size, basis = parameter_bytes(model, architecture), "estimate"
        says = f"{model['parameters']['total'] / 1e9:.2f} billion parameters x their bits"
    if device == "cpu" and not engine.gguf and _sixteen(model):
        return Term("weights", 2 * size, basis, f"{says}, widened to float32")
    return Term("weights", size, basis, says)


def weight_files(model: Mapping[str, Any], engine: Engine) -> list[dict[str, Any]]:
    """Return the files that this engine loads; a model may come both as safetensors and as GGUF."""
    return [
        file
        for file in model["files"]
        if file["role"] in _WEIGHTS and file["path"].endswith(".gguf") == engine.gguf
    ]


def parameter_bytes(model: Mapping[str, Any], architecture: Architecture) -> int:
    """Return the weights from the number of parameters and their bits.

    Raises:
        CannotEstimate: either is not known.
    """
    quantisation = model["quantisation"]
    parameters: int | None = model["parameters"]["total"]
    bits: float | None = quantisation["bits_per_weight"]
    if not parameters or not bits:
        raise CannotEstimate(
            f"{model['name']}: neither the sizes of its weights nor its parameters are known",
            f"fill in files or parameters in catalogue/models/{model['name']}.yml",
        )
    if quantisation["method"] == "bitsandbytes-nf4":
        return quantised_bytes(parameters, architecture.text, bits)
    return round(parameters * bits / 8)


def lower_bound(model: Mapping[str, Any]) -> int | None:
    """Return a bound below every estimate: the smaller form of its files that is known; None without any."""
    sums = {True: 0, False: 0}
    for file in model["files"]:
        if file["role"] in _WEIGHTS:
            sums[file["path"].endswith(".gguf")] += int(file["size"] or file.get("approx_size") or 0)
    known = [size for size in sums.values() if size]
    return min(known) if known else None


def _sixteen(model: Mapping[str, Any]) -> bool:
    quantisation = model["quantisation"]
    return quantisation["method"] == "none" and quantisation["compute_dtype"] in ("float16", "bfloat16")


def _shortened(paths: list[str]) -> list[str]:
    return paths if len(paths) <= 2 else [paths[0], f"{len(paths) - 1} more"]
