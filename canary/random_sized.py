"""Random models of the sizes that people serve, in bfloat16: for the speed of a GPU, not for answers.

    python -m canary.random_sized CANARY FOLDER SHAPE [DEVICE]

Tokenizer, template and processor are the canary's, at the real picture size. The weights are drawn on DEVICE
(default cpu, which takes minutes) and written as any checkpoint is: up to 22 GB in FOLDER.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from canary import random_mllama

CLIP_LARGE_336 = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 336, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip
"""The tower of llava-1.5 and of Phi-3-vision (openai/clip-vit-large-patch14-336)."""


@dataclass(frozen=True)
class Shape:
    """`text` and `vision` as in a config.json; a `text` with cross_attention_layers makes it an mllama.

    `parameters`: how many the real model has, as published, in units.
    """

    text: dict[str, Any]
    vision: dict[str, Any]
    parameters: float

    @property
    def looks_across(self) -> bool:
        """Whether pictures are seen by layers of their own, and do not stand in the token sequence."""
        return "cross_attention_layers" in self.text


SHAPES = {
    "llava-1.5-7b": Shape(
        {
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064,
            "max_position_embeddings": 4096,
        },
        CLIP_LARGE_336,
        7.06e9,
    ),
    # One picture of 336 pixels, where the real one cuts a picture into up to 16 of them: its own code does.
    "phi-3-vision": Shape(
        {
            "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064,
            "max_position_embeddings": 4096, "pad_token_id": 0,
        },
        CLIP_LARGE_336,
        4.15e9,
    ),
    "llama-3.2-11b-vision": Shape(
        {
            "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 40,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
            "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38], "max_position_embeddings": 8192,
        },
        {
            "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_global_layers": 8,
            "attention_heads": 16, "image_size": 560, "patch_size": 14, "max_num_tiles": 4,
            "vision_output_dim": 7680, "intermediate_layers_indices": [3, 7, 15, 23, 30],
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
        10.67e9,
    ),
}  # fmt: skip


def model(shape: Shape, canary: Path) -> Any:
    """The model on torch's default device, of its default dtype."""
    if shape.looks_across:
        return random_mllama.model(random_mllama.tokenizer(canary), shape.text, shape.vision)
    transformers: Any = import_module("transformers")
    read = json.loads((canary / "config.json").read_text())
    ids = {name: read["text_config"][name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = transformers.CONFIG_MAPPING[shape.text["model_type"]](**shape.text | ids)
    vision = transformers.CLIPVisionConfig(**shape.vision)
    kept = {name: read[name] for name in _KEPT if name in read}
    return transformers.LlavaForConditionalGeneration(
        transformers.LlavaConfig(text_config=text, vision_config=vision, **kept | {"image_seq_length": 576})
    )


_KEPT = ("image_token_index", "image_token_id", "vision_feature_layer", "vision_feature_select_strategy")


def build(
    canary: Path,
    folder: Path,
    shape: Shape,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the model folder, beside and then renamed. Raises OSError, also where the canary is not whole."""
    import torch

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a run that was cut off left, if there is any
    partial.mkdir(parents=True)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            made = model(shape, canary)
    finally:
        torch.set_default_dtype(before)
    say(f"{sum(weight.numel() for weight in made.parameters()) / 1e9:.2f} thousand million parameters drawn")
    if shape.looks_across:
        tokens = random_mllama.tokenizer(canary)
        tiles, side = shape.vision["max_num_tiles"], shape.vision["image_size"]
        random_mllama.save_processor(canary, partial, tokens, side, tiles)
    else:
        _llava_files(canary, partial, shape.vision["image_size"])
    made.save_pretrained(partial)
    partial.rename(folder)


def _llava_files(canary: Path, folder: Path, side: int) -> None:
    for file in canary.iterdir():
        if file.is_file() and file.suffix in (".json", ".jinja") and file.name != "config.json":
            shutil.copy(file, folder / file.name)
    pictures = json.loads((canary / "preprocessor_config.json").read_text())
    pictures |= {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures, indent=1))


if __name__ == "__main__":
    device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
    build(Path(sys.argv[1]), Path(sys.argv[2]), SHAPES[sys.argv[3]], device, say=print)
