"""Writes a LLaVA with random weights and sizes of choice; run with the engine's Python.

    random_llava.py FOLDER '{"text": {...}, "vision": {...}}'

`text` and `vision` are keys of LlamaConfig and CLIPVisionConfig. Weights are stored in bfloat16. What it
says is nonsense; it takes the memory of a real model of its sizes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))


def write(folder: Path, text: dict[str, int], vision: dict[str, int]) -> None:
    """Write model, tokenizer and processor; a picture takes (image_size / patch_size)^2 tokens."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    from tests.serve.tiny_llava import SPECIAL, TEMPLATE, byte_tokenizer

    torch.manual_seed(0)
    side, patch = vision["image_size"], vision["patch_size"]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision),
        text_config=LlamaConfig(bos_token_id=None, eos_token_id=2, pad_token_id=0, **text),
        image_token_index=SPECIAL.index("<image>"),
        image_seq_length=(side // patch) ** 2,
    )
    LlavaForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(),
        eos_token="<|im_end|>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    # No end token: answers run to their length.
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [], "do_sample": False}))


if __name__ == "__main__":
    write(Path(sys.argv[1]), **json.loads(sys.argv[2]))
