"""The words that the plan adds where an engine must be told what was counted with: vLLM.

The other engines take what they need as they go; vLLM takes its share of the memory when it starts.
"""

from __future__ import annotations

import math

from sightline.fit import ENGINES, CannotEstimate, estimate
from sightline.fit.estimate import ANSWER_TOKENS
from sightline.plan.fit import fit_or_none, workload
from sightline.plan.outcome import Share
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation, computes_on

ENGINE = "vllm"
SHARE = 0.92
"""The share of a card's memory that vLLM takes if nobody says (its --gpu-memory-utilization)."""
LEAST_CACHE = 256 * 2**20
"""Bytes of keys and values on a CPU at least: an ended conversation leaves its own for what follows it up."""


def server_words(there: Situation) -> list[str]:
    """Return further words for the server; settings that a person gave come after them, and outrank them."""
    if read_or_none(there.settings, "engine", str) != ENGINE:
        return []
    made: list[str] = []
    if not read_or_none(there.settings, "workload.context", int):
        made += ["--max-model-len", str(workload(there).context)]
    made += _spread(there)
    if computes_on(there) == "cpu":
        made += ["--kv-cache-memory-bytes", str(cache_bytes(there))]
    elif share := _share(there):
        made += ["--gpu-memory-utilization", f"{share:.2f}"]
    if pixels := _scaled_pixels(there):
        made += ["--scaled-pixels", str(pixels)]
    return made


def nodes(there: Situation) -> int:
    """Return on how many hosts the model lies."""
    return read_or_none(there.settings, "nodes.count", int) or 1


def split(there: Situation) -> str:
    """Return how it is split over hosts: by heads of attention (tensor), or by layers (pipeline)."""
    return read_or_none(there.settings, "nodes.split", str) or "tensor"


def head_shares(there: Situation) -> int | None:
    """Return the most equal parts that the model's heads can be dealt into; None where nobody knows."""
    engine = next(engine for engine in ENGINES if engine.name == ENGINE)
    try:
        return estimate(there.model, engine, workload(there)).head_shares
    except CannotEstimate:
        return None


def _spread(there: Situation) -> list[str]:
    """Over the cards that the plan counted with; on a CPU a host counts as one."""
    fit = fit_or_none(there)
    each = fit.used // nodes(there) if fit else 1
    if split(there) == "pipeline" and nodes(there) > 1:
        return ["--tensor-parallel-size", str(each), "--pipeline-parallel-size", str(nodes(there))]
    return ["--tensor-parallel-size", str(each * nodes(there))]


def cache_bytes(there: Situation) -> int:
    """Return what keys and values get of a CPU's memory: what the workload needs, and not too little."""
    engine = next(engine for engine in ENGINES if engine.name == ENGINE)
    try:
        terms = estimate(there.model, engine, workload(there), "cpu").terms
    except CannotEstimate:
        return LEAST_CACHE
    return max(LEAST_CACHE, *(term.bytes for term in terms if term.name == "KV cache"))


def engine_memory(there: Situation) -> tuple[Share, ...]:
    """Return what this engine takes of main memory beside server and weights."""
    if read_or_none(there.settings, "engine", str) != ENGINE or computes_on(there) != "cpu":
        return ()
    return (Share("KV cache", cache_bytes(there)),)


def _share(there: Situation) -> float | None:
    """More than vLLM takes by itself, only where the workload needs it; in whole hundredths."""
    fit = fit_or_none(there)
    if fit is None:
        return None
    needed = math.ceil(100 * fit.needed / fit.cards.card.memory_bytes) / 100
    most = math.floor(100 * fit.room / fit.cards.card.memory_bytes) / 100
    return min(needed, most) if needed > SHARE else None


def _scaled_pixels(there: Situation) -> int | None:
    """The size of a picture at which all of a request fit into the context; None where they do anyway.

    vLLM does not start if one picture of the largest size that the model takes is longer than the context.
    """
    rule = there.model["architecture"]["picture_tokens"]
    if rule["rule"] != "grid":
        return None
    work = workload(there)
    tokens = max(1, (work.context - ANSWER_TOKENS) // work.pictures)
    pixels = max(tokens * rule["cell"] ** 2, rule["min_pixels"] or 0)
    return int(pixels) if rule["max_pixels"] is None or pixels < rule["max_pixels"] else None
