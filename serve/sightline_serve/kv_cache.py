"""The key/value cache of all running requests: one padded tensor a layer, a row a request.

Rows start at position 0 and are as long as what was read of their request; what lies behind a row's end is
masked. A forward adds tokens to rows that lie side by side and reads views of them: nothing is copied but
when a row leaves (the last one moves into the gap) and when the tensors grow, in blocks of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # one layer's keys and values, each [rows, heads, tokens, head size]
Layers = dict[int, Pair]  # by the layer's number in the model
BLOCK = 256  # tokens


def blocks(tokens: int) -> int:
    """Tokens rounded up to whole blocks."""
    return -(-tokens // BLOCK) * BLOCK


@dataclass(eq=False)
class Row:
    """`index` is its place in the tensors and changes when others leave; `length` counts tokens.

    `offset` is how far its positions are from counting tokens (M-RoPE counts a picture's side, not its area);
    `touched` how many tokens of the tensors may hold something; `beside` its row of the cache beside (see
    RowCache) and `sees` what its newest token may see of that, [places], or None for nothing.
    """

    index: int
    length: int = 0
    offset: int = 0
    touched: int = 0
    beside: Row | None = None
    sees: Tensor | None = None


@dataclass(frozen=True)
class Window:
    """The part of the cache that a forward works on: `rows` side by side, each takes `counts` tokens more.

    A row that takes none is there because its neighbours are; what is computed for it is thrown away.
    """

    rows: list[Row]
    counts: list[int]

    @property
    def width(self) -> int:
        """Tokens a row in the forward's tensors, padding included."""
        return max(self.counts)

    @property
    def used(self) -> int:
        """Tokens of the cache that the forward looks at."""
        return max(row.length + count for row, count in zip(self.rows, self.counts, strict=True) if count)


class RowCache:
    """`beside`: a second cache, row for row, for layers that look at pictures instead of tokens (mllama)."""

    def __init__(
        self, example: Layers, spare: Callable[[int, int], bool], beside: Layers | None = None
    ) -> None:
        """`example` is anything's layers, for their shapes; `beside` the same for the cache beside.

        `spare(rows, tokens)` says whether memory may be taken for more rows than are needed now.
        """
        self.rows: list[Row] = []
        self.layers = _empty(example)
        self.spare = spare
        self.beside = RowCache(beside, lambda *_: False) if beside else None
        self.device = next(iter(example.values()))[0].device

    def reserve(self, rows: int, tokens: int) -> None:
        """Makes room for rows of so many tokens. Raises torch's out of memory errors, and stays whole."""
        tokens = max(tokens, self._longest())
        # Of layers that grew until memory ran out, the smallest counts.
        if all(rows <= key.shape[0] and tokens <= key.shape[2] for key, _ in self.layers.values()):
            return
        length = blocks(tokens)
        rows = next((more for more in (4 * rows, 2 * rows) if self.spare(more, length)), rows)
        for number, (key, value) in self.layers.items():  # one by one: only one layer is in memory twice
            self.layers[number] = self._grown(key, rows, length), self._grown(value, rows, length)

    def _grown(self, old: Tensor, rows: int, length: int) -> Tensor:
        new = old.new_zeros(rows, old.shape[1], length, old.shape[3])
        held = slice(0, len(self.rows)), slice(None), slice(0, self._longest())
        new[held] = old[held]
        return new

    def join(self, offset: int = 0) -> Row:
        """A new row, behind the others, that holds nothing yet."""
        row = Row(len(self.rows), offset=offset)
        self.reserve(row.index + 1, 1)
        if self.beside:
            row.beside = self.beside.join()
        self.rows.append(row)
        return row

    def fill(self, row: Row, kept: Mapping[int, Pair], tokens: int) -> None:
        """Begins an empty row with the first `tokens` of `kept`, as `copied` gave them."""
        self.reserve(len(self.rows), tokens)
        row.touched = tokens
        for number, ours in self.layers.items():
            for to, come in zip(ours, kept[number], strict=True):
                to[row.index, :, :tokens] = come[0, :, :tokens]
        row.length = tokens

    def views(self, rows: list[Row]) -> Layers:
        """What rows that lie side by side hold, as far as the longest of them; {} if they hold nothing."""
        longest = max((row.length for row in rows), default=0)
        held = slice(rows[0].index, rows[-1].index + 1), slice(None), slice(0, longest)
        return {n: (key[held], value[held]) for n, (key, value) in self.layers.items()} if longest else {}

    def copied(self, row: Row) -> Layers:
        """What the row holds, in tensors of their own, [1, heads, tokens, head size]."""
        held = slice(row.index, row.index + 1), slice(None), slice(0, row.length)
        return {
            number: (key[held].clone(), value[held].clone()) for number, (key, value) in self.layers.items()
        }

    def leave(self, row: Row) -> None:
        """Frees the row; the last one moves into its place. It is wiped: a masked NaN is still NaN."""
        if self.beside and row.beside:
            self.beside.leave(row.beside)
        last = self.rows.pop()
        for tensor in (tensor for pair in self.layers.values() for tensor in pair):
            if last is not row:
                tensor[row.index, :, : last.length] = tensor[last.index, :, : last.length]
                tensor[row.index, :, last.length : row.touched] = 0
            tensor[last.index, :, : last.touched] = 0
        if last is not row:
            last.index, last.touched = row.index, last.length
            self.rows[row.index] = last

    def clear(self) -> None:
        """Lets go of every row and of the memory."""
        self.rows = []
        self.layers = _empty(self.layers)
        if self.beside:
            self.beside.clear()

    def begin(self, more: Mapping[Row, int]) -> Window:
        """Makes room for so many tokens more in each of these rows, the least span of which is the window."""
        first, last = min(row.index for row in more), max(row.index for row in more)
        span = self.rows[first : last + 1]
        window = Window(span, [more.get(row, 0) for row in span])
        self.reserve(len(self.rows), window.used)
        for row, count in more.items():
            row.touched = max(row.touched, row.length + count)
        # Where each new token lies in the forward's tensors [row, column] and in the cache's.
        self._from = _index([(i, j) for i, n in enumerate(window.counts) for j in range(n)], self.device)
        self._to = _index([(r.index, r.length + j) for r in span for j in range(more.get(r, 0))], self.device)
        self._view = slice(first, last + 1), slice(None), slice(0, window.used)
        return window

    def seen(self, window: Window) -> Tensor:
        """Which tokens each new one may see: [rows, 1, new tokens, tokens], true or false."""
        ends = torch.tensor([row.length for row in window.rows], device=self.device)
        ends = ends[:, None] + torch.arange(window.width, device=self.device)
        return (torch.arange(window.used, device=self.device) <= ends[..., None])[:, None]

    def write(self, layer: int, key: Tensor, value: Tensor) -> Pair:
        """Adds a forward's keys and values [rows, heads, new tokens, head size]; returns the layer's."""
        keys, values = self.layers[layer]
        (row, at), (i, j) = self._to, self._from
        whole = len(i) == key.shape[0] and key.shape[2] == 1  # a step of all: nothing to pick out
        keys[row, :, at] = key[:, :, 0] if whole else key[i, :, j]
        values[row, :, at] = value[:, :, 0] if whole else value[i, :, j]
        return keys[self._view], values[self._view]

    def end(self, window: Window) -> None:
        """The forward is through; one that failed half-way leaves the rows as long as they were."""
        for row, count in zip(window.rows, window.counts, strict=True):
            row.length += count

    def _longest(self) -> int:
        return max((row.length for row in self.rows), default=0)


def _index(places: list[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    rows, columns = torch.tensor(places, device=device).unbind(1)
    return rows, columns


def _empty(layers: Layers) -> Layers:
    # Clones: a view of nothing would keep all of what it is a view of in memory.
    return {n: (key[:0, :, :0].clone(), value[:0, :, :0].clone()) for n, (key, value) in layers.items()}
