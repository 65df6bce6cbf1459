"""Phi-3-vision: a model that brings its own code, written for transformers 4.40 to about 4.48.

Its forward keeps keys and values as tuples (the library's older form), so requests take turns.
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve.chat import Template, Turn
from sightline_serve.errors import StartError
from sightline_serve.loaders import config_files, remote_code, trying
from sightline_serve.loaders.taking_turns import TakingTurns
from sightline_serve.loaders.torchvision_parts import import_torchvision
from sightline_serve.loaders.transformers_loader import device_for, dtype_for
from sightline_serve.reading import Prompt
from sightline_serve.settings import Settings
from sightline_serve.vision_cache import content_key

FAMILY = "phi3_v"
PICTURE = "<|image_"  # the first is <|image_1|>


class Phi3Model(TakingTurns):
    placeholder_id = -1  # its processor writes -1 for the first picture's tokens, -2 for the second's ...

    def __init__(self, model: Any, processor: Any, settings: Settings, device: torch.device) -> None:
        super().__init__(model, processor, settings.model, device)
        self.template = Template(self._render, PICTURE)

    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]:
        inputs = self.processor(text, pictures or None, return_tensors="pt")
        return {name: value for name, value in inputs.items() if isinstance(value, Tensor)}

    def keys(self, inputs: dict[str, Tensor]) -> tuple[bytes, ...]:
        return tuple(content_key({"pixel_values": one}) for one in inputs.get("pixel_values", ()))

    def start(self, prompt: Prompt) -> tuple[Any, Tensor]:
        positions = torch.arange(prompt.length, device=self.device)[None]
        out = self.model(
            **self.moved(prompt.inputs), position_ids=positions, past_key_values=None, use_cache=True
        )
        return out.past_key_values, out.logits[0, -1]

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]:
        out = self.model(
            input_ids=torch.tensor([[token]], device=self.device),
            attention_mask=torch.ones(1, position + 1, dtype=torch.long, device=self.device),
            position_ids=torch.tensor([[position]], device=self.device),
            past_key_values=cache,
            use_cache=True,
        )
        return out.past_key_values, out.logits[0, -1]

    def _render(self, turns: list[Turn]) -> str:
        """Its template takes strings, with the pictures counted through the conversation."""
        number = 0
        plain = []
        for turn in turns:
            content = turn["content"]
            if not isinstance(content, str):
                parts = []
                for part in content:
                    number += part["type"] == "image"
                    parts.append(f"{PICTURE}{number}|>\n" if part["type"] == "image" else part["text"])
                content = "".join(parts)
            plain.append({"role": turn["role"], "content": content})
        return str(self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True))


def load(settings: Settings) -> Phi3Model:
    """Loads settings.model, whose code must be the one that settings.trust_code names. Raises StartError."""
    family = config_files.read_json(settings.model / "config.json").get("model_type")
    if family != FAMILY:
        raise StartError(f"{settings.model}: the phi3 loader serves {FAMILY}; this is {family!r}.")
    remote_code.check(settings.model, settings.trust_code)
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    # The library runs a copy of the code; one that an earlier run left there is not what was checked.
    os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp(prefix="sightline-code-")
    import_torchvision()  # transformers imports it where it is there; the model's code pads pictures with it
    transformers: Any = import_module("transformers")
    device = device_for(settings.device)
    # As its model card does: each weight goes where it belongs as it is read, instead of into a copy first.
    placed = {"device_map": {"": str(device)}} if find_spec("accelerate") else {}
    flash = device.type == "cuda" and find_spec("flash_attn") is not None
    dtype_name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    try:
        local = {"local_files_only": True, "trust_remote_code": True}
        processor = transformers.AutoProcessor.from_pretrained(settings.model, **local)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            settings.model,
            **local,
            **placed,
            **{dtype_name: dtype_for(settings, device)},
            # Its config asks for flash attention, whether it is there or not.
            attn_implementation="flash_attention_2" if flash else "eager",
        )
        made = Phi3Model(model.to(device).eval(), processor, settings, device)
        trying.measure(made)
        return made
    except Exception as error:  # anything may be wrong with a folder of files
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StartError(f"cannot load the model in {settings.model}: {why}") from error
