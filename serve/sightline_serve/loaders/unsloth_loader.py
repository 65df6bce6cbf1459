"""Vision-language models through Unsloth, 2024.12 or 2026.10, in 4 bits. CUDA only; was never run on one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from sightline_serve.errors import StartError
from sightline_serve.loaders.config_files import read_json
from sightline_serve.loaders.transformers_loader import FAMILIES
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.settings import Settings


def load(settings: Settings) -> VisionTextModel:
    """Raises StartError with one clear line; without a GPU before anything large is imported."""
    if settings.device == "cpu" or not torch.cuda.is_available():
        raise StartError(
            "--loader unsloth needs a CUDA GPU: Unsloth has no other path. Try --loader transformers."
        )
    if find_spec("unsloth") is None:
        raise StartError("--loader unsloth: unsloth is not in this environment. Try --loader transformers.")
    family = read_json(settings.model / "config.json").get("model_type")
    if family not in FAMILIES:
        raise StartError(
            f"{settings.model}: the unsloth loader serves {', '.join(FAMILIES)}; this is {family!r}."
        )
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", UNSLOTH_DISABLE_STATISTICS="1")
    folder = settings.model.resolve()
    try:
        with _writing_to(_cache()):
            unsloth: Any = import_module("unsloth")  # it rewrites sources of transformers
            model, processor = unsloth.FastVisionModel.from_pretrained(
                str(folder),
                load_in_4bit=True,
                use_gradient_checkpointing="unsloth",
                local_files_only=True,
            )
            unsloth.FastVisionModel.for_inference(model)
        device = next(model.parameters()).device
        return VisionTextModel(
            model, processor, FAMILIES[family](model), settings.model, device, settings.vision_cache_bytes
        )
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StartError(f"cannot load the model in {settings.model}: {why}") from error


def _cache() -> Path:
    """A private folder for the sources that Unsloth writes and runs. Raises OSError."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sightline-unsloth"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    """Unsloth writes what it compiles to `unsloth_compiled_cache` of the working folder: `folder` meanwhile.

    A hardened unit's working folder cannot be written. Current versions read UNSLOTH_COMPILE_LOCATION for it;
    2024.12.8 does not, and imports what it wrote by that name, so the folder is on Python's path too.
    """
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(folder / "unsloth_compiled_cache"))
    sys.path.insert(0, str(folder))
    with contextlib.chdir(folder):
        yield
