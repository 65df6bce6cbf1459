"""Models of Hugging Face transformers (4.46 or 5), from a local folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from sightline_serve.errors import StartError
from sightline_serve.loaders import any_family
from sightline_serve.loaders.config_files import read_json
from sightline_serve.loaders.families import Family, Llava
from sightline_serve.loaders.mllama import Mllama
from sightline_serve.loaders.qwen_vl import Processor, QwenVL
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.model import Model
from sightline_serve.settings import Settings

FAMILIES: dict[str, Callable[[Any], Family]] = {
    "llava": Llava,
    "mllama": Mllama,
    "qwen2_vl": QwenVL,
    "qwen2_5_vl": QwenVL,
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(settings: Settings) -> Model:
    """Loads settings.model without any network. Raises StartError with one clear line."""
    config = read_json(settings.model / "config.json")
    family, quantised = config.get("model_type"), _quantised(config, settings.model)
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    transformers: Any = import_module("transformers")  # now: it reads the environment above
    transformers.utils.logging.disable_progress_bar()
    names = import_module("transformers.models.auto.modeling_auto")
    if family not in names.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise StartError(
            f"{settings.model}: the transformers loader serves {', '.join(FAMILIES)}, and in turns the other "
            f"picture-and-text families of transformers {transformers.__version__}; this is {family!r}."
        )
    device = device_for(settings.device)
    dtype_name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    try:
        processor = _processor(transformers, settings.model, family)
        # A quantised checkpoint is put on its device while it is loaded and cannot be moved afterwards.
        placed = {"device_map": {"": str(device)}} if quantised else {}
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            settings.model, local_files_only=True, **{dtype_name: dtype_for(settings, device)}, **placed
        )
        if (
            getattr(processor, "tokenizer", None) is None
            or getattr(processor, "image_processor", None) is None
        ):
            raise StartError("it has no picture processor; is it a vision-language model?")
        model = model.eval() if quantised else model.to(device).eval()
        if family not in FAMILIES:
            return any_family.load(model, processor, settings.model, device)
        return VisionTextModel(
            model, processor, FAMILIES[family](model), settings.model, device, settings.vision_cache_bytes
        )
    except Exception as error:  # anything may be wrong with a folder of files
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StartError(f"cannot load the model in {settings.model}: {why}") from error


def _quantised(config: dict[str, Any], folder: Path) -> bool:
    """Whether the weights are packed. Raises StartError if what reads them is not here."""
    method = (config.get("quantization_config") or {}).get("quant_method")
    missing = [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]
    if method == "bitsandbytes" and missing:
        raise StartError(
            f"{folder}: the weights are quantised by bitsandbytes, and this environment lacks "
            f"{' and '.join(missing)}: install them into it, or take weights that are not quantised."
        )
    return method is not None


def _processor(transformers: Any, folder: Path, family: str | None) -> Any:
    if FAMILIES.get(family or "") is not QwenVL:
        return transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    template = read_json(folder / "chat_template.json").get("chat_template")
    tokenizer.chat_template = template or tokenizer.chat_template
    return Processor(
        tokenizer, transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    )


def device_for(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise StartError("--device cuda: torch finds no CUDA GPU on this machine; try --device cpu.")
    return torch.device(
        "cuda" if wanted == "auto" and torch.cuda.is_available() else wanted.replace("auto", "cpu")
    )


def dtype_for(settings: Settings, device: torch.device) -> torch.dtype | str:
    """`auto`: the checkpoint's own on a GPU; float32 on a CPU, where half precision is slow and rough."""
    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    return "auto" if device.type == "cuda" else torch.float32
