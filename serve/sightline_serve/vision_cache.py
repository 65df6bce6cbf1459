"""What the vision tower made of a picture, kept by the picture's content, up to a number of bytes.

A follow-up about the same picture then costs no tower. Kept in the host's memory, where it takes nothing from
the key/value cache; used from the scheduler's thread alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Picture = dict[str, Tensor]  # the model's arguments for one picture
Tower = Callable[[list[Picture]], Sequence[Tensor]]  # some pictures -> features [tokens, width] of each


def content_key(picture: Mapping[str, Tensor]) -> bytes:
    """Tells contents apart: of one picture as the processor made it, on the CPU."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(picture.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.contiguous().numpy())  # type: ignore[arg-type]
    return found.digest()


class VisionCache:
    def __init__(self, limit: int) -> None:
        """`limit` is in bytes; 0 keeps nothing."""
        self.limit = limit
        self.size = 0
        self.kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def features(
        self, pictures: Sequence[Picture], keys: Sequence[bytes], tower: Tower, device: torch.device
    ) -> list[Tensor]:
        """Features of each picture, on `device`; the new ones go to the tower together, each once."""
        new = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self.kept}
        known = {key: self.kept[key].to(device) for key in keys if key in self.kept}
        for key in known:
            self.kept.move_to_end(key)
        if new:
            made = tower(list(new.values()))
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
