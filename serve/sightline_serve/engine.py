"""The model's own work: a conversation into tokens and pixels, and those into rows of logits.

The scheduler decides who runs; the engine only computes. `read` takes prompts, several or a piece of a long
one, and `decode` every running request at once: in one forward where the model can (see joining.py), else one
after another.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve import errors, joining
from sightline_serve.chat import Conversation
from sightline_serve.kv_cache import Row, RowCache
from sightline_serve.model import Model
from sightline_serve.prefix_cache import PrefixCache
from sightline_serve.reading import Chunk, Prompt, Text, together

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Slot:
    """A request that takes part: a row of the shared cache, or a cache of its own.

    `tokens` are those of its answer that were made before it gave up an earlier place; they are read again
    behind the prompt. `done` counts what is in the cache, `length` what will be when all is read. `reused` of
    it was there from an earlier request; `said` are the tokens fed since.
    """

    prompt: Prompt
    tokens: tuple[int, ...]
    length: int
    owner: str = ""
    row: Row | None = None
    cache: Any = None
    text: Text | None = None
    done: int = 0
    reused: int = 0
    said: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Tokens still to be read."""
        return self.length - self.done


class Engine:
    """`batching`: whether running requests share a forward. `budget` None: memory is not counted."""

    def __init__(
        self,
        model: Model,
        max_model_len: int | None = None,
        kv_bytes: int | None = None,
        max_rows: int = 8,
        prefix_bytes: int = 0,
    ) -> None:
        """Raises StartError if `kv_bytes` of key/value cache are too few for any request."""
        self.model = model
        self.context = min(model.context, max_model_len or model.context)
        self.slots: list[Slot] = []
        with torch.inference_mode():
            example, beside = model.layers(), model.beside()
        self.place = joining.place_bytes(beside) / joining.place_bytes(example) if beside and example else 0.0
        self.budget = joining.budget(example, kv_bytes)
        if self.budget:
            self.context = min(self.context, self.budget.longest())
        self.max_rows = max_rows
        self.prefixes = PrefixCache(prefix_bytes)
        self.token_bytes = joining.place_bytes(example) if example else 0
        rows = RowCache(example, self._spare, beside) if example else None
        self.rows = rows if rows and joining.agrees(model, rows) else None

    @property
    def batching(self) -> bool:
        return self.rows is not None

    def prepare(self, conversation: Conversation, pictures: list[Image.Image]) -> Prompt:
        """Tokens and pixels of a conversation, in a worker thread. Raises a 400 ApiError if it cannot fit."""
        self.check_length(conversation.characters)
        inputs = self.model.encode(self.model.template(conversation), pictures)
        length = int(inputs["input_ids"].shape[-1])
        if length >= self.context:
            raise errors.context_length_exceeded(str(length), self.context)
        keys = self.model.keys(inputs)
        lost = pictures and self.model.placeholder_id not in inputs["input_ids"][0].tolist()
        if lost or (keys is not None and len(keys) != len(pictures)):
            log.error("the processor took %d picture(s) and left no place for them", len(pictures))
            raise errors.engine_failed()
        return self._fitting(Prompt(inputs, length, len(pictures), keys or ()))

    def prepare_text(self, text: str) -> Prompt:
        """Tokens of a text without template and pictures. Raises a 400 ApiError if it cannot fit."""
        self.check_length(len(text))
        if self.model.template.placeholder in text:
            raise errors.bad_request(
                f"Leave the placeholder {self.model.template.placeholder} out of the text: pictures belong "
                "into the messages of /v1/chat/completions.",
                "prompt",
                "placeholder_mismatch",
            )
        inputs = self.model.encode(text, [])
        return self._fitting(Prompt(inputs, int(inputs["input_ids"].shape[-1]), 0))

    def _fitting(self, prompt: Prompt) -> Prompt:
        if (room := self.room(prompt)) < 1:
            raise errors.context_length_exceeded(str(prompt.length), max(0, prompt.length + room))
        return prompt

    def check_length(self, characters: int) -> None:
        """Megabytes of text need no tokenizer to be seen to be too long."""
        if (least := characters // self.model.longest_token) >= self.context:
            raise errors.context_length_exceeded(f"more than {least}", self.context)

    def room(self, prompt: Prompt) -> int:
        """How many tokens an answer to it may have."""
        longest = self.budget.longest(self._beside(prompt)) if self.budget else self.context
        return min(self.context, longest) - prompt.length

    def _beside(self, *prompts: Prompt) -> int:
        """What the pictures of the one with most take beside its tokens, in tokens."""
        pictures = max((prompt.pictures for prompt in prompts), default=0)
        return math.ceil(self.place * self.model.places(pictures)) if self.place else 0

    def has_room(self, newcomer: Prompt | None = None, said: int = 0) -> bool:
        """Whether all who take part can go on by a token, beside a `newcomer` that has said so many."""
        if self.budget is None:
            return True
        lengths = [slot.length + 1 for slot in self.slots]
        prompts = [slot.prompt for slot in self.slots]
        if newcomer:
            lengths.append(newcomer.length + said + 1)
            prompts.append(newcomer)
        return self.budget.fits(lengths, self._beside(*prompts))

    @torch.inference_mode()
    def admit(self, prompt: Prompt, tokens: Sequence[int] = (), owner: str = "") -> Slot:
        """Gives a request its place, and reads nothing yet.

        `tokens`: its answer so far; `owner`: whose it is; it begins with no one else's.
        """
        slot = Slot(prompt, tuple(tokens), prompt.length + len(tokens), owner)
        self.slots.append(slot)
        if self.rows:
            slot.row = self.rows.join()
            if self.prefixes.kept:
                identity = self.model.identity(prompt, slot.tokens)
                kept, common = self.prefixes.longest(identity[:-1], owner)  # one is left, for its logits
                if common:
                    self.rows.fill(slot.row, kept, common)
                    slot.done = slot.reused = common
        return slot

    @torch.inference_mode()
    def read(self, slots: Sequence[Slot], tokens: int) -> list[tuple[Slot, Tensor]]:
        """Reads on in the first of `slots`, so many tokens at most, and in others that fit beside it.

        Returns those that are read to their end, each with the logits [vocab] for its next token.
        """
        if self.rows is None:
            return self._read_alone(slots[0])
        chosen = [(slots[number], count) for number, count in together(slots, tokens)]
        new = [slot for slot, _ in chosen if slot.text is None]
        for slot, text in zip(
            new, self.model.texts([s.prompt for s in new], [s.tokens for s in new]), strict=True
        ):
            slot.text = text
            if slot.row:
                self.model.settle(self.rows, slot.row, text)
        chunks = [
            Chunk(slot.row, slot.text, slot.done, slot.done + count)
            for slot, count in chosen
            if slot.row and slot.text
        ]
        logits = self.model.read_rows(self.rows, chunks).to("cpu", torch.float32)
        for slot, count in chosen:
            slot.done += count
        whole = [(slot, row) for (slot, _), row in zip(chosen, logits, strict=True) if not slot.left]
        for slot, _ in whole:
            slot.text = None  # its embeddings would be in memory for as long as it runs
        return whole

    def prefill(self, prompt: Prompt, tokens: Sequence[int] = ()) -> tuple[Slot, Tensor]:
        """Admits a request and reads all of it. Returns its slot and logits [vocab] for its next token."""
        slot = self.admit(prompt, tokens)
        whole: list[tuple[Slot, Tensor]] = []
        while not whole:
            whole = self.read([slot], slot.left)
        return whole[0]

    @torch.inference_mode()
    def decode(self, slots: Sequence[Slot], tokens: Sequence[int]) -> list[Tensor]:
        """Feeds each slot, which was read, its newest token. Returns logits [vocab] of each, in order."""
        if self.rows is None:
            logits = [self._step_alone(slot, token) for slot, token in zip(slots, tokens, strict=True)]
        else:
            fed = {slot.row: token for slot, token in zip(slots, tokens, strict=True) if slot.row}
            # One copy of all rows to the host, where each request samples in its own way.
            logits = list(self.model.step_rows(self.rows, fed).to("cpu", torch.float32))
        for slot, token in zip(slots, tokens, strict=True):
            slot.said.append(token)
            slot.length += 1
            slot.done = slot.length
        return logits

    @torch.inference_mode()
    def release(self, slot: Slot, keep: bool = False) -> None:
        """The request is over: its memory is free for others. Harmless when done twice.

        `keep`: what it read and said may be the beginning of another one.
        """
        if slot in self.slots:
            self.slots.remove(slot)
            if self.rows and slot.row:
                if keep and self.prefixes.wants(slot.row.length, self.token_bytes):
                    identity = self.model.identity(slot.prompt, [*slot.tokens, *slot.said])
                    read = identity[: slot.row.length]
                    self.prefixes.keep(read, self.rows.copied(slot.row), slot.owner)
                self.rows.leave(slot.row)
            slot.cache = slot.row = slot.text = None

    @torch.inference_mode()
    def empty(self) -> None:
        """Gives back what memory can be had: kept pictures, and the cache if nobody runs."""
        self.model.forget()
        self.prefixes.clear()
        if self.rows and not self.slots:
            self.rows.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _read_alone(self, slot: Slot) -> list[tuple[Slot, Tensor]]:
        """The prompt in one go, and each token behind it in a turn of its own."""
        if not slot.done:
            slot.cache, logits = self.model.start(slot.prompt)
            slot.done = slot.prompt.length
        else:
            logits = self._step_alone(slot, slot.tokens[slot.done - slot.prompt.length])
            slot.done += 1
        return [] if slot.left else [(slot, logits)]

    def _step_alone(self, slot: Slot, token: int) -> Tensor:
        slot.cache, logits = self.model.step(slot.cache, token, slot.done)
        return logits

    def _spare(self, rows: int, tokens: int) -> bool:
        if rows > self.max_rows or self.budget is None:
            return rows <= self.max_rows
        return self.budget.fits([tokens] * rows, self._beside(*(slot.prompt for slot in self.slots)))


def sound(logits: Tensor) -> Tensor:
    """Broken numbers would be sampled into fluent nonsense; better no answer. Raises FloatingPointError."""
    if torch.isnan(logits).any():
        raise FloatingPointError("the model's logits are not numbers (dtype too small for this model?)")
    return logits
