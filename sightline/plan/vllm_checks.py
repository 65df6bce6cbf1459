"""What a host must have for vLLM, alone or with others for one model (nodes.py: together)."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.interpreter import choose_python
from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.server_words import ENGINE, head_shares, nodes, split
from sightline.plan.situation import Situation, computes_on

_PACKAGES = {"libnuma.so.1": "libnuma1", "g++": "g++", "Python.h": "python3.11-dev"}


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


def parts_are_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """What vLLM's build for CPUs needs and no wheel brings. Seen on a fresh Debian: without libnuma no start
    succeeds; without a compiler or Python.h it starts, /health says 200, and the first request ends it.
    """
    if read_or_none(there.settings, "engine", str) != ENGINE or computes_on(there) != "cpu":
        return
    parts = read_or_none(there.facts, "system_parts", dict) or {}
    lacking = [name for name in _PACKAGES if parts.get(name) is False]
    if "Python.h" in lacking and not _on_its_own_python(there):
        lacking.remove("Python.h")
    if lacking:
        packages = " ".join(_PACKAGES[name] for name in lacking)
        yield Objection(
            f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing on the host",
            "vLLM's build for CPUs needs it, and no wheel brings it",
            f"install it, on Debian and Ubuntu: apt-get install {packages}",
        )


def _on_its_own_python(there: Situation) -> bool:
    """Whether the environment stands on a Python of the host; one that is fetched brings its headers."""
    try:
        choice = choose_python(there)
    except Unreadable:
        return False
    return choice is not None and choice.source == "found"


def node_notes(there: Situation) -> list[str]:
    """What is known to end badly, and yet is not refused: on another version it may be mended."""
    if nodes(there) > 1 and split(there) == "pipeline" and computes_on(there) == "cpu":
        return [
            "vLLM's CPU build, split by layers, was seen to die at the first request while /health said 200: "
            "the proof will tell"
        ]
    return []
