"""What the vision tower made of a picture, kept by the picture's content, up to a number of bytes.

A follow-up about the same picture then costs no tower. Kept in the host's memory, where it takes nothing from
the key/value cache; used from the scheduler's thread alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Tower = Callable[[Tensor], Sequence[Tensor]]  # pixels of some pictures -> features [tokens, width] of each


def content_keys(pixels: Tensor) -> tuple[bytes, ...]:
    """One key a picture, for pixels [pictures, ...] as the processor made them."""
    return tuple(hashlib.blake2b(picture.contiguous().numpy(), digest_size=16).digest() for picture in pixels)


class VisionCache:
    def __init__(self, limit: int) -> None:
        """`limit` is in bytes; 0 keeps nothing."""
        self.limit = limit
        self.size = 0
        self.kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def features(self, pixels: Tensor, keys: Sequence[bytes], tower: Tower) -> list[Tensor]:
        """Features of each picture of `pixels` [pictures, ...], on its device; new ones go to the tower."""
        new = {key: index for index, key in enumerate(keys) if key not in self.kept}
        known = {key: self.kept[key].to(pixels.device) for key in keys if key in self.kept}
        for key in known:
            self.kept.move_to_end(key)
        if new:
            made = tower(pixels[list(new.values())])
            for key, features in zip(new, made, strict=True):
                known[key] = features
                self._keep(key, features)
        return [known[key] for key in keys]

    def clear(self) -> None:
        self.kept.clear()
        self.size = 0

    def _keep(self, key: bytes, features: Tensor) -> None:
        size = features.numel() * features.element_size()
        if size > self.limit:
            return
        # A copy of its own: a view would hold the features of every picture of its request in memory.
        self.kept[key] = features.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        self.size += size
        while self.size > self.limit:
            _, oldest = self.kept.popitem(last=False)
            self.size -= oldest.numel() * oldest.element_size()
