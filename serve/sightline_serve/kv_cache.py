"""The key/value cache of all running requests: one padded tensor a layer, a row a request.

Rows start at position 0 and are as long as their request; what lies behind a row's end is masked. A step
reads views of the first rows and writes one token to each: nothing is copied but when a row joins (its
prompt), when one leaves (the last row moves into the gap) and when the tensors grow, in blocks of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # one layer's keys and values, each [rows, heads, tokens, head size]
BLOCK = 256  # tokens


def blocks(tokens: int) -> int:
    """Tokens rounded up to whole blocks."""
    return -(-tokens // BLOCK) * BLOCK


@dataclass(eq=False)
class Row:
    """`index` is its place in the tensors and changes when others leave; `length` counts tokens."""

    index: int
    length: int


class RowCache:
    def __init__(self, example: list[Pair], spare: Callable[[int, int], bool]) -> None:
        """`example` is any prompt's pairs, for their shapes.

        `spare(rows, tokens)` says whether memory may be taken for more rows than are needed now.
        """
        self.rows: list[Row] = []
        self.layers: list[Pair] = _empty(example)
        self.spare = spare
        self.used = 0  # tokens a step looks at: those of the longest row, with the one it is about to write

    def reserve(self, rows: int, tokens: int) -> None:
        """Makes room for rows of so many tokens. Raises torch's out of memory errors, and stays whole."""
        tokens = max(tokens, self._longest())
        # Of layers that grew until memory ran out, the smallest counts.
        if all(rows <= key.shape[0] and tokens <= key.shape[2] for key, _ in self.layers):
            return
        length = blocks(tokens)
        rows = next((more for more in (4 * rows, 2 * rows) if self.spare(more, length)), rows)
        for number, pair in enumerate(self.layers):  # one by one: only one layer is in memory twice
            self.layers[number] = self._grown(pair[0], rows, length), self._grown(pair[1], rows, length)

    def _grown(self, old: Tensor, rows: int, length: int) -> Tensor:
        new = old.new_zeros(rows, old.shape[1], length, old.shape[3])
        held = slice(0, len(self.rows)), slice(None), slice(0, self._longest())
        new[held] = old[held]
        return new

    def join(self, prompt: list[Pair]) -> Row:
        """Takes in a request that was read alone: its pairs have one row each."""
        row = Row(len(self.rows), prompt[0][0].shape[2])
        self.reserve(row.index + 1, row.length)
        for ours, theirs in zip(self.layers, prompt, strict=True):
            for to, come in zip(ours, theirs, strict=True):
                to[row.index, :, : row.length] = come[0]
        self.rows.append(row)
        return row

    def leave(self, row: Row) -> None:
        """Frees the row; the last one moves into its place. It is wiped: a masked NaN is still NaN."""
        last = self.rows.pop()
        for pair in self.layers:
            for tensor in pair:
                if last is not row:
                    tensor[row.index, :, : last.length] = tensor[last.index, :, : last.length]
                    tensor[row.index, :, last.length : row.length + 1] = 0
                tensor[last.index, :, : last.length + 1] = 0  # a step that failed may have written one more
        if last is not row:
            last.index = row.index
            self.rows[row.index] = last

    def clear(self) -> None:
        """Lets go of every row and of the memory."""
        self.rows = []
        self.layers = _empty(self.layers)

    def begin(self) -> tuple[Tensor, Tensor]:
        """Makes room for one more token in each row.

        Returns their positions [rows, 1] and which tokens each may see, [rows, 1, 1, tokens], true or false.
        """
        self.reserve(len(self.rows), self._longest() + 1)
        self.used = self._longest() + 1
        device = self.layers[0][0].device
        self._ends = torch.tensor([row.length for row in self.rows], device=device)
        self._places = torch.arange(len(self.rows), device=device)
        seen = torch.arange(self.used, device=device)[None, :] <= self._ends[:, None]
        return self._ends[:, None], seen[:, None, None, :]

    def write(self, layer: int, key: Tensor, value: Tensor) -> Pair:
        """Adds a step's keys and values, [rows, heads, 1, head size]; returns the layer's, as views."""
        keys, values = self.layers[layer]
        keys[self._places, :, self._ends] = key[:, :, 0]
        values[self._places, :, self._ends] = value[:, :, 0]
        return keys[: len(self.rows), :, : self.used], values[: len(self.rows), :, : self.used]

    def end(self) -> None:
        """The step is through; one that failed half-way leaves the rows as long as they were."""
        for row in self.rows:
            row.length += 1

    def _longest(self) -> int:
        return max((row.length for row in self.rows), default=0)


def _empty(layers: list[Pair]) -> list[Pair]:
    # Clones: a view of nothing would keep all of what it is a view of in memory.
    return [(key[:0, :, :0].clone(), value[:0, :, :0].clone()) for key, value in layers]
