"""What a model of the catalogue needs of a box, in the release that it would be deployed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightline.catalogue import load_model, load_release
from sightline.catalogue.entries import Entry
from sightline.fit import CannotEstimate, Estimate, choose_engine, estimate
from sightline.plan.fit import workload
from sightline.plan.render import human_bytes
from sightline.plan.situation import Situation, disk_shares, fetch_shares, memory_shares


@dataclass(frozen=True)
class Needs:
    """All sizes in bytes. `gpu_bytes` is None where no GPU is needed; `gpu_from` says what it rests on.

    `estimate` is the memory on a GPU term by term; where nobody can say it, `gpu_bytes` is the least.
    `gpu_compute`: the compute capabilities that the release was built for, as its entry says.
    `release` is None where no release of this kit carries an engine for the model yet: then the needs are the
    model's own, without an environment and a driver's floor.
    """

    model: str
    release: str | None
    architectures: tuple[str, ...]
    gpu_bytes: int | None
    gpu_from: str
    memory_bytes: int
    disk_bytes: int
    fetch_bytes: int
    weights_bytes: int
    driver_floor: str | None
    estimate: Estimate | None = None
    gpu_compute: Mapping[str, str] | None = None


def needs(model: str, release: str | None = None, work: Mapping[str, int] | None = None) -> Needs:
    """What `model` needs, in `release` or in the first that serves it. Raises CatalogueError.

    `work`: context, slots and pictures where they are not the plan's own. Raises ValueError when the model is
    not served in that release.
    """
    entry = load_model(model)
    serving = entry["engines"]["can_serve"]
    ways = [(way, name) for way in serving for name in way["releases"]]
    if release is None:
        way, release = ways[0] if ways else (serving[0] if serving else None, None)
    else:
        load_release(release)
        way = next((way for way, name in ways if name == release), None)
        if way is None:
            there = ", ".join(sorted({name for _, name in ways})) or "none"
            raise ValueError(f"{model} is not served in release {release}; releases that serve it: {there}")
    if release is None:
        return _of_model(entry, dict(way) if way else None, work or {})
    return _of_release(entry, load_release(release), dict(way or {}), work or {})


def _of_release(model: Entry, release: Entry, way: Entry, work: Mapping[str, int]) -> Needs:
    there = Situation(model, release, {}, {"engine": way["engine"], "workload": dict(work)})
    everything = {"environment", "model"}
    on_gpu = bool(way["needs_gpu"])
    known, gpu_bytes, gpu_from = _gpu(there, way) if on_gpu else (None, None, "")
    stated = int(model["memory"].get("minimum_ram_bytes") or 0)
    return Needs(
        model=model["name"],
        release=release["name"],
        architectures=tuple(release["architectures"]),
        gpu_bytes=gpu_bytes,
        gpu_from=gpu_from,
        memory_bytes=max(stated, sum(share.bytes for share in memory_shares(there))),
        disk_bytes=sum(share.bytes for share in disk_shares(there, everything)),
        fetch_bytes=sum(share.bytes for share in fetch_shares(there, everything)),
        weights_bytes=there.weights,
        driver_floor=str(release["driver"]["floor"]) if on_gpu and release["driver"] else None,
        estimate=known,
        gpu_compute=release.get("gpu_compute") if on_gpu else None,
    )


def _of_model(model: Entry, way: Entry | None, work: Mapping[str, int]) -> Needs:
    there = Situation(model, {}, {}, {"workload": dict(work)})
    known, gpu_bytes, gpu_from = _gpu(there, way) if way and way["needs_gpu"] else (None, None, "")
    files = sum(share.bytes for share in fetch_shares(there, {"model"}))
    return Needs(
        model=model["name"],
        release=None,
        architectures=(),
        gpu_bytes=gpu_bytes,
        gpu_from=gpu_from,
        memory_bytes=int(model["memory"].get("minimum_ram_bytes") or 0),
        disk_bytes=sum(share.bytes for share in disk_shares(there, {"model"})),
        fetch_bytes=files,
        weights_bytes=there.weights,
        driver_floor=None,
        estimate=known,
    )


def _gpu(there: Situation, way: Entry) -> tuple[Estimate | None, int, str]:
    """The plan's estimate; else the catalogue's own figure; else the weights, without which nothing goes."""
    try:
        engine, _ = choose_engine(there.model, way["engine"])
        known = estimate(there.model, engine, workload(there))
    except CannotEstimate:
        stated = there.model["memory"].get("minimum_vram_bytes")
        if stated:
            return None, int(stated), "as the catalogue states"
        return None, there.weights, "the weights alone: what else it takes is not known"
    return known, known.total, f"weights {human_bytes(there.weights)} and what computing takes"
