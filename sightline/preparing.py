"""From what the probe saw to what a plan is made from: layout, facts and settings of one host."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.bundle import Bundle, read_bundle
from sightline.layout import Indexes, Layout, LockFile, holds, lay_out, libraries, read_locks
from sightline.plan import decide_adoption, python_to_fetch
from sightline.plan.loader import loader_words
from sightline.plan.server_words import server_words
from sightline.plan.situation import Situation, environment_step
from sightline.pythons import locked_builds


@dataclass(frozen=True)
class Prepared:
    """Everything that `make_plan` takes, and the layout that it is about.

    `adopted`: the folder that torch lies in where the environment stands on another Python, else None.
    `ask`: addresses of which the host must reach one, for the Python that it lacks; empty for most hosts.
    `words`: what the plan has to say to the server; part of the release's name.
    """

    model: dict[str, Any]
    release: dict[str, Any]
    layout: Layout
    facts: dict[str, Any]
    settings: dict[str, Any]
    adopted: str | None
    ask: list[str]
    words: list[str]


def prepare(model: dict[str, Any], release: dict[str, Any], wanted: Mapping[str, Any]) -> Prepared:
    """Work out where things go and on which Python the environment stands.

    `wanted`: `host` (the probe's facts), `engine`, `root`, `port`, `start`, and `python` with the settings of
    that name (env, source, repository, mirror, list, named, indexes, torch_indexes), all optional; likewise
    `nodes` (`count` of hosts that hold one model, how it is `split` over them, their `addresses`, `port`),
    `device`, `host_side` (what is wished of driver and CUDA), `workload` (context, slots, pictures),
    `localai`, `trust_code` (the sha256 of the model's own code that may run), `fetch` (`only` the model, from
    which `sources`, and which models are to be `absent`) and `bundle`, the path of one that everything comes
    from.
    An own environment that is whole is kept, whatever PyTorch the host brings by now, unless adopt is asked.

    Raises:
        OSError, ValueError, FolderProblem: a file of this kit cannot be read. BundleProblem: the bundle.
    """
    python, start, fetch = wanted.get("python") or {}, wanted["start"], wanted.get("fetch") or {}
    indexes = Indexes(tuple(python.get("indexes") or ("",)), tuple(python.get("torch_indexes") or ()))
    settings = {
        "engine": wanted["engine"],
        "root": wanted["root"],
        "port": int(wanted["port"]),
        "now": int(time.time()),
        "device": wanted.get("device") or "auto",
        "host": dict(wanted.get("host_side") or {}),
        "workload": {name: int(count or 0) for name, count in (wanted.get("workload") or {}).items()},
        "localai": dict(wanted.get("localai") or {}),
        "trust_code": str(wanted.get("trust_code") or ""),
        "nodes": dict(wanted.get("nodes") or {}),
        "service": {"user": start.get("user"), "manager": start.get("manager")},
        "indexes": list(indexes.packages),
        "staging": bool(fetch.get("only")),
        "model_sources": list(fetch.get("sources") or ()),
        "python_env": python.get("env") or "auto",
        "python_source": python.get("source") or "auto",
        "python_repository": dict(python.get("repository") or {}),
        "python_mirror": python.get("mirror") or "",
        "python_list": python.get("list") or "",
        "pythons_named": bool(python.get("named")),
        "python_builds": locked_builds(),
        "libraries": libraries(read_locks(release, indexes)),
    }
    told = Situation(model, release, wanted["host"], settings)
    words = loader_words(told) + server_words(told)
    if words:
        start = {**start, "words": words, "nodes": settings["nodes"]}
    own = lay_out(wanted["root"], model, release, start, indexes)
    if settings["python_env"] == "auto" and _whole(wanted["host"], own):
        settings["python_env"] = "own"
    adoption, _ = decide_adoption(Situation(model, release, wanted["host"], settings))
    layout = lay_out(wanted["root"], model, release, start, indexes, adoption.identity) if adoption else own
    if wanted.get("bundle"):
        settings["bundle"] = held(read_bundle(Path(wanted["bundle"])), layout.locks)
    settings["desired"] = {
        "environment_lock_sha256": layout.environment_digest,
        "model_fingerprint": layout.model_fingerprint,
        "service_fingerprint": layout.release_id,
    }
    facts = _narrowed(wanted["host"], layout, model["name"], list(fetch.get("absent") or ()))
    there = Situation(model, release, facts, settings)
    building = not there.staging and environment_step(there).action != "keep"
    ask = python_to_fetch(there) if building else []
    adopted = adoption.packages if adoption else None
    return Prepared(model, release, layout, facts, settings, adopted, ask, words)


def held(bundle: Bundle, locks: Sequence[LockFile]) -> dict[str, Any]:
    """What a plan has to know of a bundle: `locks` are minor version -> names of those that it has."""
    minors = sorted({minor for wheels in bundle.wheels.values() for minor in wheels})
    return {
        "place": str(bundle.place),
        "machine": bundle.machine,
        "models": dict(bundle.models),
        "distribution": list(bundle.distribution),
        "wanted": [lock.name for lock in locks],
        "locks": {
            minor: [lock.name for lock in locks if minor in bundle.wheels.get(lock.sha256, {})]
            for minor in minors
        },
    }


def _whole(host: Mapping[str, Any], layout: Layout) -> bool:
    return holds(host["installed"]["environments"].get(layout.environment, {}), layout.locks)


def _freed(models: Mapping[str, Any], absent: Sequence[str], kept: str) -> int:
    """Bytes on the disk of models that are to go before anything is fetched."""
    going = [path for path in models if path != kept and Path(path).name.rpartition("-")[0] in absent]
    return sum(int(models[path]["disk_bytes"]) for path in going)


def _narrowed(host: dict[str, Any], layout: Layout, model: str, absent: Sequence[str]) -> dict[str, Any]:
    """What the probe listed, narrowed to the one environment, model and service that the plan is about."""
    installed = host["installed"]
    there = installed["models"].get(layout.model) or {}
    whole = there.get("fingerprint")
    service = installed["service"]
    return host | {
        "installed": {
            "environment": {
                "present": bool(installed["environments"]),
                "lock_sha256": layout.environment_digest if _whole(host, layout) else None,
            },
            "model": {
                "name": model if there else None,
                "complete": bool(whole),
                "fingerprint": whole,
                "disk_bytes": there.get("disk_bytes", 0),
                "there_bytes": there.get("there_bytes", 0),
            },
            "freed_bytes": _freed(installed["models"], absent, layout.model),
            "service": {"state": service["state"], "fingerprint": service.get("release")},
        }
    }
