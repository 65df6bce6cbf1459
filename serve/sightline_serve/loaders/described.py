"""What the engine asks of any loaded model that its library and its folder tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline_serve.loaders import config_files
from sightline_serve.vocabulary import Vocabulary


class Described:
    """See model.Model. `processor` is the library's, with a tokenizer; `folder` holds the model's files."""

    def __init__(self, model: Any, processor: Any, folder: Path, device: torch.device) -> None:
        self.model, self.processor, self.device = model, processor, device
        self.tokenizer = processor.tokenizer
        self.context = int(model.config.get_text_config().max_position_embeddings)
        wanted = config_files.read_json(folder / "generation_config.json")
        self.eos = config_files.eos(wanted, model, self.tokenizer)
        self.vocabulary = Vocabulary(self.tokenizer, self.eos)
        self.defaults = config_files.defaults(wanted)
        self.longest_token = max(map(len, self.tokenizer.get_vocab()))
        self.parameters = sum(p.numel() for p in model.parameters())
        self.description = (
            f"{model.config.model_type}, {self.parameters / 1e6:.1f} M parameters, {model.dtype}, {device}"
        )

    def text(self, tokens: list[int]) -> str:
        return str(
            self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """On the model's device, and numbers in the model's precision."""
        return {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }
