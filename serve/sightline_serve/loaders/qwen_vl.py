"""Qwen2-VL and Qwen2.5-VL: pictures of any shape, and positions of three axes (M-RoPE)."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve.loaders.families import Inputs, Merging
from sightline_serve.vision_cache import Picture


class Processor:
    """What the library's own does with pictures; that one wants torchvision, for videos."""

    def __init__(self, tokenizer: Any, image_processor: Any) -> None:
        self.tokenizer, self.image_processor = tokenizer, image_processor
        self.image_token = "<|image_pad|>"
        self.apply_chat_template = tokenizer.apply_chat_template

    def __call__(
        self, text: list[str], images: list[Image.Image] | None, return_tensors: str, **options: Any
    ) -> Inputs:
        made: Inputs = {}
        pieces = text[0].split(self.image_token)
        if images:
            made.update(self.image_processor(images=images, return_tensors=return_tensors))
            counts = (made["image_grid_thw"].prod(1) // self.image_processor.merge_size**2).tolist()
            if len(counts) != len(pieces) - 1:
                raise RuntimeError(f"{len(pieces) - 1} places in the prompt for {len(counts)} pictures")
            pieces = [
                piece + self.image_token * count for piece, count in zip(pieces, [*counts, 0], strict=True)
            ]
            text = ["".join(pieces)]
        made.update(self.tokenizer(text, return_tensors=return_tensors, **options))
        return made


class QwenVL(Merging):
    axes = 3

    def __init__(self, model: Any) -> None:
        self.visual = getattr(model, "visual", None) or model.model.visual  # transformers 4, 5
        self.merge = int(model.config.vision_config.spatial_merge_size)
        self.placeholder = int(model.config.image_token_id)

    def split(self, inputs: Inputs) -> list[Picture]:
        grids = inputs.get("image_grid_thw")
        if grids is None:
            return []
        patches = torch.split(inputs["pixel_values"], grids.prod(1).tolist())
        return [
            {"pixel_values": pixels, "image_grid_thw": grid}
            for pixels, grid in zip(patches, grids, strict=True)
        ]

    def counts(self, inputs: Inputs, placeholder: int) -> list[int]:
        grids = inputs.get("image_grid_thw")
        return [] if grids is None else (grids.prod(1) // self.merge**2).tolist()

    def tower(self, pictures: list[Picture]) -> list[Tensor]:
        grids = torch.stack([picture["image_grid_thw"] for picture in pictures])
        made = self.visual(torch.cat([picture["pixel_values"] for picture in pictures]), grid_thw=grids)
        features: Tensor = getattr(made, "pooler_output", made)
        return list(torch.split(features, (grids.prod(1) // self.merge**2).tolist()))

    def positions(self, inputs: Inputs, pictures: list[Picture]) -> tuple[Tensor, int]:
        """Section 2.1 of the Qwen2-VL report (Wang et al. 2024): text counts on all axes at once.

        A picture's tokens stand at (frame, row, column) behind the text before it, and the text behind it
        goes on after the largest of them.
        """
        ids = inputs["input_ids"][0].tolist()
        grids = iter([picture["image_grid_thw"].tolist() for picture in pictures])
        parts, place, at = [], 0, 0
        while place < len(ids):
            if ids[place] == self.placeholder:
                frames, high, wide = next(grids)
                shape = (frames, high // self.merge, wide // self.merge)
                parts.append(torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, 3).T + at)
                at += max(shape)
                place += shape[0] * shape[1] * shape[2]
            else:
                parts.append(torch.full((3, 1), at))
                at += 1
                place += 1
        return torch.cat(parts, dim=1), at - len(ids)
