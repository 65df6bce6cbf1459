"""Vision-language models through Unsloth, in 4 bits. CUDA only; not run where there is no GPU."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
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
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    unsloth: Any = import_module("unsloth")  # it rewrites sources of transformers
    try:
        model, processor = unsloth.FastVisionModel.from_pretrained(
            str(settings.model),
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
