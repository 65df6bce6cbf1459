"""The model's own work: a conversation into tokens and pixels, and those into rows of logits.

The scheduler decides who runs; the engine only computes. `decode` takes every running request at once: in one
forward where the model can (see joining.py), else one after another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from sightline_serve import errors, joining
from sightline_serve.chat import Conversation, Template
from sightline_serve.kv_cache import Pair, Row, RowCache
from sightline_serve.vision_cache import content_keys
from sightline_serve.vocabulary import Vocabulary

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
    """A request that is ready to run; `inputs` are the model's arguments, tensors with a batch of one.

    `pictures` counts them; `keys` tells their contents apart, one each, or is empty where the processor
    does not keep them apart.
    """

    inputs: dict[str, Tensor]
    length: int
    pictures: int
    keys: tuple[bytes, ...] = ()

    @property
    def tokens(self) -> list[int]:
        ids: list[int] = self.inputs["input_ids"][0].tolist()
        return ids


@dataclass(eq=False)
class Slot:
    """What a running request keeps on the device: a row of the shared cache, or a cache of its own.

    `length` counts the tokens in it, `limit` those that it may come to hold.
    """

    cache: Any
    length: int
    limit: int = 0
    row: Row | None = None


class Model(Protocol):
    """What a loader gives. Tensors come and go on the model's device; logits are rows [vocab]."""

    template: Template
    vocabulary: Vocabulary
    context: int
    eos: frozenset[int]
    defaults: Defaults
    placeholder_id: int | None
    longest_token: int
    description: str
    parameters: int
    joinable: bool

    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]: ...

    def start(self, inputs: dict[str, Tensor], keys: tuple[bytes, ...] = ()) -> tuple[Any, Tensor]:
        """Reads a prompt alone. Returns its cache and the logits [vocab] after its last token."""

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]:
        """One token more for one request. Returns its cache and logits [vocab]."""

    def pairs(self, cache: Any) -> list[Pair] | None:
        """The layers of a cache that `start` returned; None where it is not keys and values alone."""

    def step_rows(self, rows: RowCache, tokens: list[int]) -> Tensor:
        """One token more for each row. Returns logits [rows, vocab]."""

    def forget(self) -> None:
        """Lets go of what is kept only for speed."""

    def text(self, tokens: list[int]) -> str: ...


class Engine:
    """`batching`: whether running requests share a forward. `budget` None: memory is not counted."""

    def __init__(
        self,
        model: Model,
        max_model_len: int | None = None,
        kv_bytes: int | None = None,
        max_rows: int = 8,
    ) -> None:
        """Raises StartError if `kv_bytes` of key/value cache are too few for any request."""
        self.model = model
        self.context = min(model.context, max_model_len or model.context)
        self.slots: list[Slot] = []
        example = joining.example(model)
        self.budget = joining.budget(example, kv_bytes)
        if self.budget:
            self.context = min(self.context, self.budget.longest())
        self.max_rows = max_rows
        self.rows = RowCache(example, self._spare) if example and joining.agrees(model, example) else None

    @property
    def batching(self) -> bool:
        return self.rows is not None

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
        pixels = inputs.get("pixel_values")
        keys = () if pixels is None or len(pixels) != len(pictures) else content_keys(pixels)
        return Prompt(inputs, length, len(pictures), keys)

    def has_room(self, limit: int) -> bool:
        """Whether a request that may come to hold `limit` tokens can run beside those that run."""
        return self.budget is None or self.budget.fits([limit, *(slot.limit for slot in self.slots)])

    @torch.inference_mode()
    def prefill(self, prompt: Prompt, limit: int | None = None) -> tuple[Slot, Tensor]:
        """Reads the prompt. Returns the request's slot and the logits [vocab] for its first token.

        `limit` is what the slot may come to hold; without one, the context.
        """
        if self.rows:  # before the prompt: so that never more is in memory than was counted
            self.rows.reserve(len(self.rows.rows) + 1, prompt.length + 1)
        cache, logits = self.model.start(prompt.inputs, prompt.keys)
        slot = Slot(cache, prompt.length, limit or self.context)
        if self.rows:
            pairs = self.model.pairs(cache)
            if pairs is None:
                raise RuntimeError("the cache of this prompt cannot be joined with others")
            slot.cache, slot.row = None, self.rows.join(pairs)
        self.slots.append(slot)
        return slot, logits

    @torch.inference_mode()
    def decode(self, slots: list[Slot], tokens: list[int]) -> list[Tensor]:
        """Feeds each slot its newest token. Returns one row of logits [vocab] a slot, in order.

        Every slot that was not released must be among them.
        """
        if self.rows is None:
            logits = [self._step_alone(slot, token) for slot, token in zip(slots, tokens, strict=True)]
        else:
            logits = self._step_rows(self.rows, slots, tokens)
        for slot in slots:
            slot.length += 1
        return logits

    @torch.inference_mode()
    def release(self, slot: Slot) -> None:
        """The request is over: its memory is free for others. Harmless when done twice."""
        if slot in self.slots:
            self.slots.remove(slot)
            if self.rows and slot.row:
                self.rows.leave(slot.row)
            slot.cache = slot.row = None

    @torch.inference_mode()
    def empty(self) -> None:
        """Gives back what memory can be had: kept pictures, and the cache if nobody runs."""
        self.model.forget()
        if self.rows and not self.slots:
            self.rows.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _step_alone(self, slot: Slot, token: int) -> Tensor:
        slot.cache, logits = self.model.step(slot.cache, token, slot.length)
        return logits

    def _step_rows(self, rows: RowCache, slots: list[Slot], tokens: list[int]) -> list[Tensor]:
        token_of = {slot.row: token for slot, token in zip(slots, tokens, strict=True)}
        # One copy of all rows to the host, where each request samples in its own way.
        logits = self.model.step_rows(rows, [token_of[row] for row in rows.rows]).to("cpu", torch.float32)
        return [logits[slot.row.index] for slot in slots if slot.row]

    def _spare(self, rows: int, tokens: int) -> bool:
        return rows <= self.max_rows and (self.budget is None or self.budget.fits([tokens] * rows))


def sound(logits: Tensor) -> Tensor:
    """Broken numbers would be sampled into fluent nonsense; better no answer. Raises FloatingPointError."""
    if torch.isnan(logits).any():
        raise FloatingPointError("the model's logits are not numbers (dtype too small for this model?)")
    return logits
