"""How each engine holds a model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sightline.fit.errors import CannotEstimate

Device = Literal["cuda", "cpu"]
Spread = Literal["none", "layers", "heads"]


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine as the formulae see it.

    `gguf`: it loads the GGUF files of a model and computes as llama.cpp does. `paged`: it takes the cache in
    equal blocks, so that little is lost between them. `spread`: how it shares one model out to the cards of a
    machine: not at all, by whole layers, or by heads of attention in every layer. `loader`: which of
    sightline-serve's loaders, "" elsewhere.
    """

    name: str
    loader: str
    gguf: bool
    paged: bool
    spread: Spread

    @property
    def several_gpus(self) -> bool:
        """Whether it uses more than one card of a machine."""
        return self.spread != "none"


ENGINES = (
    Engine("sightline-serve", "transformers", gguf=False, paged=False, spread="none"),
    Engine("sightline-serve", "unsloth", gguf=False, paged=False, spread="none"),
    Engine("sightline-serve", "phi3", gguf=False, paged=False, spread="none"),
    Engine("llamacpp", "", gguf=True, paged=True, spread="layers"),
    Engine("localai", "", gguf=True, paged=True, spread="layers"),
    Engine("vllm", "", gguf=False, paged=True, spread="heads"),
)
"""sightline-serve computes on one GPU (docs/serve.md); llama.cpp splits by layers, vLLM by heads, so that its
number of cards must divide theirs (vLLM refuses any other --tensor-parallel-size)."""


def choose_engine(model: Mapping[str, Any], wanted: str | None = None) -> tuple[Engine, dict[str, Any]]:
    """Return the engine for a catalogue entry with what the catalogue says of the two together.

    Without `wanted` it is the first that the entry names.

    Raises:
        CannotEstimate: the catalogue does not list them together; its reason is given where it has one.
    """
    listed = model["engines"]["can_serve"]
    for serving in listed:
        if wanted in (None, serving["engine"]):
            for engine in ENGINES:
                if (engine.name, engine.loader) == (serving["engine"], serving.get("loader", "")):
                    return engine, dict(serving)
    named = ", ".join(dict.fromkeys(serving["engine"] for serving in listed))
    why = [other["why"] for other in model["engines"]["cannot_serve"] if other["engine"] == wanted]
    reason = f": {why[0]}" if why else ", as far as the catalogue knows"
    raise CannotEstimate(
        f"{wanted or 'no engine'} does not serve {model['name']}{reason}",
        f"use {named}" if named else "take another model (scripts/plan --models)",
    )
