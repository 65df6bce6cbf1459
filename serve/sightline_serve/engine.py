"""The model's own work: a conversation into tokens and pixels, and those into rows of logits.

The scheduler decides who runs; the engine only computes. `decode` takes every running request at once, so
that batching them in one forward is a change of this file alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from sightline_serve import errors
from sightline_serve.chat import Conversation, Template

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Defaults:
    """What the model's generation config asks for when a request says nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


@dataclass(frozen=True)
class Prompt:
    """A request that is ready to run; `inputs` are the model's arguments, tensors with a batch of one."""

    inputs: dict[str, Tensor]
    length: int
    pictures: int


@dataclass
class Slot:
    """What a running request keeps on the device: its key/value cache and how many tokens that holds."""

    cache: Any
    length: int


class Model(Protocol):
    """What a loader gives. Tensors come and go on the model's device; logits are rows [vocab]."""

    template: Template
    context: int
    eos: frozenset[int]
    defaults: Defaults
    placeholder_id: int | None
    longest_token: int
    description: str
    parameters: int

    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]: ...

    def start(self, inputs: dict[str, Tensor]) -> tuple[Any, Tensor]: ...

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]: ...

    def text(self, tokens: list[int]) -> str: ...


class Engine:
    def __init__(self, model: Model, max_model_len: int | None = None) -> None:
        self.model = model
        self.context = min(model.context, max_model_len or model.context)

    def prepare(self, conversation: Conversation, pictures: list[Image.Image]) -> Prompt:
        """Tokens and pixels of a conversation, in a worker thread. Raises a 400 ApiError if it cannot fit."""
        # Megabytes of text need no tokenizer to be seen to be too long.
        if (least := conversation.characters // self.model.longest_token) >= self.context:
            raise errors.context_length_exceeded(f"more than {least}", self.context)
        inputs = self.model.encode(self.model.template(conversation), pictures)
        length = int(inputs["input_ids"].shape[-1])
        if length >= self.context:
            raise errors.context_length_exceeded(str(length), self.context)
        if pictures and self.model.placeholder_id not in inputs["input_ids"][0].tolist():
            log.error(
                "the processor took %d picture(s) and left no place for them in the tokens", len(pictures)
            )
            raise errors.engine_failed()
        return Prompt(inputs, length, len(pictures))

    @torch.inference_mode()
    def prefill(self, prompt: Prompt) -> tuple[Slot, Tensor]:
        """Reads the prompt. Returns the request's slot and the logits [vocab] for its first token."""
        cache, logits = self.model.start(prompt.inputs)
        return Slot(cache, prompt.length), _sound(logits)

    @torch.inference_mode()
    def decode(self, slots: list[Slot], tokens: list[int]) -> list[Tensor]:
        """Feeds each slot its newest token. Returns one row of logits [vocab] a slot, in order."""
        rows = []
        for slot, token in zip(slots, tokens, strict=True):
            slot.cache, logits = self.model.step(slot.cache, token, slot.length)
            slot.length += 1
            rows.append(_sound(logits))
        return rows


def _sound(logits: Tensor) -> Tensor:
    """Broken numbers would be sampled into fluent nonsense; better no answer. Raises FloatingPointError."""
    if torch.isnan(logits).any():
        raise FloatingPointError("the model's logits are not numbers (dtype too small for this model?)")
    return logits
