"""Each <|image_N|> becomes three tokens of -N; pictures become 4 x 4 pixels."""

import re

import numpy as np
import torch
from transformers import AutoTokenizer, BatchFeature


class Phi3VProcessor:
    def __init__(self, tokenizer):
        self.tokenizer = self.image_processor = tokenizer

    @classmethod
    def from_pretrained(cls, folder, **options):
        return cls(AutoTokenizer.from_pretrained(folder, local_files_only=True))

    @classmethod
    def register_for_auto_class(cls, *_):
        pass

    def __call__(self, text, images=None, return_tensors="pt"):
        ids = []
        for piece in re.split(r"(<\|image_\d+\|>)", text):
            number = re.fullmatch(r"<\|image_(\d+)\|>", piece)
            ids += [-int(number[1])] * 3 if number else self.tokenizer(piece).input_ids
        made = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        if images:
            pixels = [
                np.asarray(image.convert("RGB").resize((4, 4)), dtype=np.float32) / 255 for image in images
            ]
            made["pixel_values"] = torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2)
            made["image_sizes"] = torch.tensor([image.size for image in images])
        return BatchFeature(made)
