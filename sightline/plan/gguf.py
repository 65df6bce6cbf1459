"""Whether the GGUF files of this checkout are what llama.cpp loads; a hub's are looked at when they come."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.fetching import WrongFormat, check_formats
from sightline.layout import CHECKOUT
from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation

ENGINES = ("llamacpp", "localai")


def pair_can_be_loaded(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Magic, version and the projector's type, as the files themselves say."""
    folder = there.model["source"].get("path")
    if not folder or "service" not in changing or read_or_none(there.settings, "engine", str) not in ENGINES:
        return
    files = [file["path"] for file in there.model["files"] if file["path"].endswith(".gguf")]
    try:
        check_formats(CHECKOUT / folder, files)
    except (WrongFormat, OSError) as problem:
        yield Objection(
            str(problem),
            "llama.cpp would not load it, and LocalAI would say that it is ready all the same",
            f"put the right file into {folder}, or deploy another model",
        )
