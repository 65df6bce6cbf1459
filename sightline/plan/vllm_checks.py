"""What a host must have for vLLM, alone or with others for one model (nodes.py: together)."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.server_words import ENGINE, head_shares, nodes, split
from sightline.plan.situation import Situation, computes_on


def engine_takes_nodes(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Only vLLM holds one model on several hosts, and the model can be dealt out to them."""
    count, way = nodes(there), split(there)
    engine = read_or_none(there.settings, "engine", str) or "?"
    if count == 1:
        return
    if engine != ENGINE:
        yield Objection(
            f"{engine} does not serve one model from {count} hosts",
            "sightline_nodes asks for that",
            "set sightline_engine to vllm, or leave sightline_nodes out: each host then serves it whole",
        )
    elif way not in ("tensor", "pipeline"):
        yield Objection(
            f"sightline_nodes_split is {way!r}",
            "a model is split by heads of attention (tensor) or by layers (pipeline)",
            "set it to one of them, or leave it out",
        )
    elif way == "tensor" and (shares := head_shares(there)) and shares % count:
        yield Objection(
            f"the heads of {there.model['name']} can be dealt out to {shares} cards, not to {count} hosts",
            "each host has an equal part of every layer's heads",
            f"take as many hosts as divide {shares}, or split by layers: sightline_nodes_split=pipeline",
        )


def node_notes(there: Situation) -> list[str]:
    """What is known to end badly, and yet is not refused: on another version it may be mended."""
    if nodes(there) > 1 and split(there) == "pipeline" and computes_on(there) == "cpu":
        return [
            "vLLM's CPU build, split by layers, was seen to die at the first request while /health said 200: "
            "the proof will tell"
        ]
    return []
