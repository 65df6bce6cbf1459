"""What models have in common whose requests share no forward: each has a cache of its own, of any kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve.chat import Template
from sightline_serve.kv_cache import Layers, Row, RowCache
from sightline_serve.loaders.described import Described
from sightline_serve.prefix_cache import Identity
from sightline_serve.reading import Chunk, Prompt, Text


@dataclass(frozen=True)
class Cost:
    """Bytes of memory: for each token that a request has read, and besides for each of its pictures."""

    token: int
    picture: int


class TakingTurns(Described, ABC):
    """See model.Model. A loader adds `template`, `encode`, `start` and `step`, and measures it (trying)."""

    template: Template
    placeholder_id: int | None
    joinable = False
    cost: Cost | None = None

    def __init__(self, model: Any, processor: Any, folder: Path, device: torch.device) -> None:
        super().__init__(model, processor, folder, device)
        self.depth = int(getattr(model.config.get_text_config(), "num_hidden_layers", 1))

    @abstractmethod
    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]: ...

    @abstractmethod
    def start(self, prompt: Prompt) -> tuple[Any, Tensor]: ...

    @abstractmethod
    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]: ...

    def keys(self, inputs: dict[str, Tensor]) -> tuple[bytes, ...] | None:
        return None

    def layers(self) -> Layers | None:
        """Shapes alone: what a token takes, spread over as many layers as the text model has."""
        return _shapes(self.cost.token, self.depth) if self.cost else None

    def beside(self) -> Layers | None:
        return _shapes(self.cost.picture, 1) if self.cost and self.cost.picture else None

    def places(self, pictures: int) -> int:
        return max(1, pictures)  # a part of what a picture was seen to take may be the request's own

    def forget(self) -> None:
        pass

    def identity(self, prompt: Prompt, more: Sequence[int]) -> Identity:
        raise NotImplementedError("requests of this model take turns")

    def texts(self, prompts: Sequence[Prompt], more: Sequence[Sequence[int]]) -> list[Text]:
        raise NotImplementedError("requests of this model take turns")

    def settle(self, rows: RowCache, row: Row, text: Text) -> None:
        raise NotImplementedError("requests of this model take turns")

    def read_rows(self, rows: RowCache, chunks: Sequence[Chunk]) -> Tensor:
        raise NotImplementedError("requests of this model take turns")

    def step_rows(self, rows: RowCache, tokens: dict[Row, int]) -> Tensor:
        raise NotImplementedError("requests of this model take turns")


def _shapes(size: int, layers: int) -> Layers:
    """Keys and values of one place that take `size` bytes in all, or a few more; in no memory."""
    half = torch.empty(1, 1, 1, max(1, -(-size // (2 * layers))), dtype=torch.uint8, device="meta")
    return dict.fromkeys(range(layers), (half, half))


def held(cache: Any) -> int:
    """Bytes of all tensors that can be reached from a request's cache, whatever classes it is made of."""
    storages = [tensor.untyped_storage() for tensor in _tensors(cache, set())]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _tensors(thing: Any, seen: set[int]) -> Iterator[Tensor]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield thing
        return
    if isinstance(thing, dict):
        inside: Any = thing.values()
    elif isinstance(thing, (list, tuple)):
        inside = thing
    else:
        inside = vars(thing).values() if hasattr(thing, "__dict__") and not isinstance(thing, type) else ()
    for one in inside:
        yield from _tensors(one, seen)
