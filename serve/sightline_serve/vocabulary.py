"""A model's tokens as text and bytes, and as the library for grammars wants them."""

from __future__ import annotations

from functools import cached_property
from typing import Any


class Vocabulary:
    """`tokenizer` is the model's, of Hugging Face transformers; `eos`: the tokens that end its answers."""

    def __init__(self, tokenizer: Any, eos: frozenset[int] = frozenset()) -> None:
        self.tokenizer = tokenizer
        own = getattr(tokenizer, "eos_token_id", None)
        self.eos = sorted(eos | ({own} if own is not None else set()))

    def __len__(self) -> int:
        return len(self.tokenizer)

    @cached_property
    def serialised(self) -> str | None:
        """The tokenizer's whole description as JSON; None for one written in Python, which has none."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return None if backend is None else str(backend.to_str())

    @cached_property
    def table(self) -> Any:
        """llguidance's tokenizer, or None where the library cannot read ours."""
        from llguidance import LLTokenizer

        if self.serialised is None:
            return None
        try:
            return LLTokenizer(self.serialised, eos_token=self.eos or None)
        except Exception:  # of a kind of tokenizer that it does not know
            return None

    def bytes_of(self, token: int) -> bytes:
        """What a token writes: it may be a part of a character. Nothing for ids that no token has."""
        if token >= len(self):
            return b""
        if self.table is not None and token < self.table.vocab_size:
            return bytes(self.table.decode_bytes([token]))
        return self.text([token]).encode()

    def text(self, tokens: list[int]) -> str:
        """Special tokens included, as they stand in the vocabulary."""
        return str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

    def encode(self, text: str, special: bool) -> list[int]:
        """`special`: with the tokens that the tokenizer puts around every text."""
        return list(self.tokenizer.encode(text, add_special_tokens=special))
