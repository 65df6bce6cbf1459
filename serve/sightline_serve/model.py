"""What the engine asks of a model, whatever loads it (see loaders/)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from sightline_serve.chat import Template
from sightline_serve.kv_cache import Layers, Row, RowCache
from sightline_serve.prefix_cache import Identity
from sightline_serve.reading import Chunk, Prompt, Text
from sightline_serve.vocabulary import Vocabulary


@dataclass(frozen=True)
class Defaults:
    """What the model's generation config asks for when a request says nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


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

    def keys(self, inputs: dict[str, Tensor]) -> tuple[bytes, ...] | None:
        """Tells the contents of a prompt's pictures apart, one key each; None where only the model could."""

    def layers(self) -> Layers | None:
        """Keys and values of any text, for their shapes; None where nobody knows what a cache holds."""

    def identity(self, prompt: Prompt, more: Sequence[int]) -> Identity:
        """A number for each token of the prompt and behind it: two texts are the same as far as these are."""

    def texts(self, prompts: Sequence[Prompt], more: Sequence[Sequence[int]]) -> list[Text]:
        """What the text model reads of each prompt and `more` tokens behind it; all pictures in one go."""

    def beside(self) -> Layers | None:
        """The same of one place in layers that look at pictures only; None where there are none."""

    def places(self, pictures: int) -> int:
        """How many such places so many pictures take."""

    def settle(self, rows: RowCache, row: Row, text: Text) -> None:
        """Makes an empty row ready to take the text in."""

    def read_rows(self, rows: RowCache, chunks: Sequence[Chunk]) -> Tensor:
        """Some tokens of some texts. Returns the logits [chunks, vocab] after each."""

    def step_rows(self, rows: RowCache, tokens: dict[Row, int]) -> Tensor:
        """One token more for each of these rows. Returns logits [rows, vocab], in the order of `tokens`."""

    def start(self, prompt: Prompt) -> tuple[Any, Tensor]:
        """Reads a prompt alone. Returns its cache and the logits [vocab] after its last token."""

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]:
        """One token more for one request. Returns its cache and logits [vocab]."""

    def forget(self) -> None:
        """Lets go of what is kept only for speed."""

    def text(self, tokens: list[int]) -> str: ...
