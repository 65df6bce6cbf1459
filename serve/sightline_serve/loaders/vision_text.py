"""A vision-language model of transformers, 4.46 or 5, driven by plain forwards: see model.Model.

For each family, tests compare this loop, alone and batched, with `model.generate`, token by token.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline_serve.chat import Template, Turn
from sightline_serve.kv_cache import Layers, Row, RowCache, Window
from sightline_serve.loaders import attention, mllama
from sightline_serve.loaders.described import Described
from sightline_serve.loaders.families import Family, Inputs
from sightline_serve.prefix_cache import Identity
from sightline_serve.reading import Chunk, Cross, Prompt, Text
from sightline_serve.vision_cache import Picture, VisionCache, content_key

# These families' towers see a few hundred pixels a side, but some of their processors first pad to a square:
# a strip of 70,000 x 700 pixels would become 15 GB. Larger sides are scaled down to this before.
MAX_SIDE = 4096


@dataclass
class Alone:
    """A request that does not share a forward: the library's own cache, and what its newest token may see."""

    cache: Any
    offset: int
    sees: Tensor | None


class VisionTextModel(Described):
    def __init__(
        self,
        model: Any,
        processor: Any,
        family: Family,
        folder: Path,
        device: torch.device,
        vision_bytes: int = 0,
    ) -> None:
        from transformers import DynamicCache

        super().__init__(model, processor, folder, device)
        self.family = family
        self.new_cache = DynamicCache
        self.shared_cache, self.watched_cache = attention.caches()
        # transformers 4 asks this, and not the cache, whether the pictures are in it.
        self.first_place = not hasattr(DynamicCache(), "layers")
        self.joinable = attention.joinable(model.config)
        self.vision = VisionCache(vision_bytes)
        self.decoder, self.head = model.get_decoder(), model.get_output_embeddings()
        placeholder = getattr(processor, "image_token", None) or "<image>"
        self.placeholder_id: int | None = self.tokenizer.convert_tokens_to_ids(placeholder)
        self.template = Template(self._render, placeholder)
        # Logits of a whole prompt would be vocabulary x length floats; only the last row is wanted.
        accepted = inspect.signature(model.forward).parameters
        name = next((name for name in ("logits_to_keep", "num_logits_to_keep") if name in accepted), None)
        self.last_only = {name: 1} if name else {}

    def encode(self, text: str, pictures: list[Image.Image]) -> Inputs:
        # A template that writes the first token itself must not get a second one from the tokenizer.
        bos = self.tokenizer.bos_token
        for picture in pictures:
            picture.thumbnail((MAX_SIDE, MAX_SIDE))  # keeps the shape, never enlarges
        inputs = self.processor(
            text=[text],
            images=pictures or None,
            return_tensors="pt",
            add_special_tokens=not (bos and text.startswith(bos)),
        )
        return {name: value for name, value in inputs.items() if isinstance(value, Tensor)}

    def keys(self, inputs: Inputs) -> tuple[bytes, ...]:
        return tuple(map(content_key, self.family.split(inputs)))

    def identity(self, prompt: Prompt, more: Sequence[int]) -> Identity:
        ids = np.array([*prompt.tokens, *more], dtype=np.int64)
        if not prompt.keys:
            return ids
        if not self.family.merges:  # any token may look at any picture
            return ids ^ _number(b"".join(prompt.keys))
        counts = self.family.counts(prompt.inputs, self.placeholder_id or 0)
        numbers = [_number(key) for key, count in zip(prompt.keys, counts, strict=True) for _ in range(count)]
        places = np.flatnonzero(ids[: prompt.length] == self.placeholder_id)
        ids[places] = numbers
        return ids

    def texts(self, prompts: Sequence[Prompt], more: Sequence[Sequence[int]]) -> list[Text]:
        pictures = [[self.moved(one) for one in self.family.split(prompt.inputs)] for prompt in prompts]
        flat = [one for each in pictures for one in each]
        keys = [key for prompt in prompts for key in prompt.keys]
        features = iter(self.vision.features(flat, keys, self.family.tower, self.device))
        return [
            self._text(prompt.inputs, each, [next(features) for _ in each], list(tokens))
            for prompt, each, tokens in zip(prompts, pictures, more, strict=True)
        ]

    def _text(self, inputs: Inputs, pictures: list[Picture], features: list[Tensor], more: list[int]) -> Text:
        ids = inputs["input_ids"][0]
        positions, offset = self.family.positions(inputs, pictures)
        behind = torch.arange(len(ids), len(ids) + len(more)) + offset
        embedded = self._embed(torch.cat([ids, torch.tensor(more, dtype=ids.dtype)]).to(self.device))
        if self.family.merges and features:
            places = torch.zeros(len(embedded), 1, dtype=torch.bool, device=self.device)
            places[: len(ids), 0] = torch.eq(ids, self.placeholder_id or 0).to(self.device)
            merged = torch.cat(features).to(embedded.dtype)
            if int(places.sum()) != len(merged):
                raise RuntimeError(
                    f"{int(places.sum())} places in the prompt for {len(merged)} picture tokens"
                )
            embedded = embedded.masked_scatter(places, merged)
        positions = torch.cat([positions, behind.expand(len(positions), -1)], dim=1).to(self.device)
        cross = self.family.cross(inputs, features)
        if cross and more:  # what is said sees what the end of the prompt sees
            cross = Cross(cross.states, torch.cat([cross.sees, cross.sees[-1:].expand(len(more), -1, -1)]))
        return Text(embedded, positions, offset, cross)

    def layers(self) -> Layers | None:
        """The shapes of what a token leaves in the cache, from a text of one token."""
        watched = self.watched_cache()
        embedded = self._embed(torch.tensor([[1]], device=self.device))
        self.decoder(
            inputs_embeds=embedded,
            attention_mask=embedded.new_zeros(1, 1, 1, 1),
            position_ids=torch.zeros(1, 1, dtype=torch.long, device=self.device),
            past_key_values=watched,
            use_cache=True,
        )
        noted: Layers = watched.noted
        return noted or None

    def beside(self) -> Layers | None:
        return self.family.cross_layers() or None

    def places(self, pictures: int) -> int:
        return self.family.places(pictures)

    def settle(self, rows: RowCache, row: Row, text: Text) -> None:
        row.offset = text.offset
        if text.cross and rows.beside and row.beside:
            row.sees = text.cross.sees[-1]
            rows.beside.fill(row.beside, self.family.cross_layers(text.cross), len(text.cross.states))

    def read_rows(self, rows: RowCache, chunks: Sequence[Chunk]) -> Tensor:
        window = rows.begin({chunk.row: chunk.stop - chunk.start for chunk in chunks})
        size = len(window.rows), window.width
        embedded = chunks[0].text.embeddings.new_zeros(*size, chunks[0].text.embeddings.shape[1])
        positions = torch.zeros(self.family.axes, *size, dtype=torch.long, device=self.device)
        sees = {}
        for chunk in chunks:
            i, n = window.rows.index(chunk.row), chunk.stop - chunk.start
            embedded[i, :n] = chunk.text.embeddings[chunk.start : chunk.stop]
            positions[:, i, :n] = chunk.text.positions[:, chunk.start : chunk.stop]
            if chunk.text.cross:
                sees[chunk.row] = chunk.text.cross.sees[chunk.start : chunk.stop]
        logits = self._forward(rows, window, embedded, positions, sees)
        return logits[[window.rows.index(chunk.row) for chunk in chunks]]

    def step_rows(self, rows: RowCache, tokens: dict[Row, int]) -> Tensor:
        window = rows.begin(dict.fromkeys(tokens, 1))
        ids = torch.tensor([[tokens.get(row, 0)] for row in window.rows], device=self.device)
        positions = torch.tensor([[row.length + row.offset] for row in window.rows], device=self.device)
        sees = {row: row.sees[None] for row in tokens if row.sees is not None}
        logits = self._forward(
            rows, window, self._embed(ids), positions.expand(self.family.axes, -1, -1), sees
        )
        return logits[[window.rows.index(row) for row in tokens]]

    def _forward(
        self,
        rows: RowCache,
        window: Window,
        embedded: Tensor,
        positions: Tensor,
        sees: dict[Row, Tensor],
    ) -> Tensor:
        """Logits [rows of the window, vocab] behind the last token of each."""
        looks = mllama.looks(window.rows, window.width, sees, embedded.dtype)
        beside = rows.beside.views([row.beside for row in window.rows if row.beside]) if rows.beside else {}
        if beside and self.first_place:
            looks["cache_position"] = torch.arange(1, window.width + 1, device=self.device)
        hidden = self.decoder(
            inputs_embeds=embedded,
            attention_mask=attention.additive(rows.seen(window), embedded.dtype),
            position_ids=positions if len(positions) > 1 else positions[0],
            past_key_values=self.shared_cache(rows, beside),
            use_cache=True,
            **looks,
        )[0]
        rows.end(window)
        last = torch.tensor([max(0, count - 1) for count in window.counts], device=self.device)
        logits: Tensor = self.head(hidden[torch.arange(len(last), device=self.device), last])
        return logits

    def start(self, prompt: Prompt) -> tuple[Any, Tensor]:
        text = self.texts([prompt], [[]])[0]
        alone = Alone(self.new_cache(), text.offset, text.cross.sees[-1] if text.cross else None)
        looks = self.family.alone(text.cross, None)
        return self._alone(alone, text.embeddings, text.positions, looks)

    def step(self, alone: Any, token: int, position: int) -> tuple[Any, Tensor]:
        place = torch.full((self.family.axes, 1), position + alone.offset, device=self.device)
        embedded = self._embed(torch.tensor([token], device=self.device))
        return self._alone(alone, embedded, place, self.family.alone(None, alone.sees), position)

    def _alone(
        self,
        alone: Alone,
        embedded: Tensor,
        positions: Tensor,
        looks: dict[str, Tensor],
        before: int = 0,
    ) -> tuple[Alone, Tensor]:
        """Given bare ids, transformers 4.46 would look for pictures to merge in."""
        hidden = embedded[None]
        out = self.model(
            inputs_embeds=hidden,
            attention_mask=torch.ones(1, before + len(embedded), dtype=torch.long, device=self.device),
            position_ids=positions[:, None] if len(positions) > 1 else positions,
            past_key_values=alone.cache,
            use_cache=True,
            **self.last_only,
            **looks,
        )
        alone.cache = out.past_key_values
        return alone, out.logits[0, -1]

    def forget(self) -> None:
        self.vision.clear()

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.model.get_input_embeddings()(tokens)
        return embedded

    def _render(self, turns: list[Turn], tools: list[dict[str, Any]] | None = None) -> str:
        more = {"tools": tools} if tools else {}
        apply = self.processor.apply_chat_template
        return str(apply(turns, tokenize=False, add_generation_prompt=True, **more))


def _number(key: bytes) -> int:
    """A picture's content as a number that is no token's: negative, of 63 bits."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little", signed=True) | -(2**63)
