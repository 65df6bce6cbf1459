"""Families that share no forward here, with random weights; their pictures need no torchvision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.serve import tiny_families

VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
TEXT = {**tiny_families.TEXT, "num_hidden_layers": 2}


def idefics3(folder: Path) -> Path:
    """Idefics3 and SmolVLM: a picture is cut into squares, its number of tokens grows with its shape."""
    import transformers as hf

    tokens = tiny_families.tokenizer(
        ["<|begin|>", "<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"], "<image>"
    )
    config = hf.Idefics3Config(
        vision_config=VISION,
        text_config=hf.LlamaConfig(**TEXT, vocab_size=len(tokens)),
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    pictures = (
        hf.Idefics3ImageProcessorPil
        if hasattr(hf, "Idefics3ImageProcessorPil")
        else hf.Idefics3ImageProcessor
    )
    made = pictures(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    processor = hf.Idefics3Processor(made, tokens, image_seq_len=1, chat_template=tokens.chat_template)
    return _write(folder, hf.Idefics3ForConditionalGeneration(config), processor)


def llava_next(folder: Path) -> Path:
    """LLaVA 1.6: tiles by the picture's shape, unpadded, with a token at the end of each line."""
    import transformers as hf

    tokens = tiny_families.tokenizer(["<|begin|>", "<image>"], "<image>")
    grid = [[28, 56], [56, 28], [56, 56]]
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=len(tokens)),
        image_grid_pinpoints=grid,
        image_seq_length=4,
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
    )
    kind = (
        hf.LlavaNextImageProcessorPil
        if hasattr(hf, "LlavaNextImageProcessorPil")
        else hf.LlavaNextImageProcessor
    )
    pictures = kind(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=grid
    )
    processor = hf.LlavaNextProcessor(
        pictures, tokens, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tokens.chat_template,
    )  # fmt: skip
    return _write(folder, hf.LlavaNextForConditionalGeneration(config), processor)


def gemma3(folder: Path) -> Path:
    """Layers with a window of 48 tokens beside full ones; a picture's tokens see each other, forwards too."""
    import transformers as hf

    special = ["<|begin|>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    names = dict(zip(("boi_token", "eoi_token", "image_token"), special[1:], strict=True))
    tokens = tiny_families.tokenizer(special, "<start_of_image>", extra_special_tokens=names)
    boi, eoi, place = tokens.convert_tokens_to_ids(special[1:])
    text = hf.Gemma3TextConfig(
        **{**TEXT, "num_hidden_layers": 3},
        vocab_size=len(tokens),
        head_dim=16,
        tie_word_embeddings=False,
        sliding_window=48,
        query_pre_attn_scalar=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    config = hf.Gemma3Config(
        text_config=text, vision_config=VISION | {"vision_use_head": False},
        tie_word_embeddings=False,
        mm_tokens_per_image=4, boi_token_index=boi, eoi_token_index=eoi, image_token_index=place,
    )  # fmt: skip
    pictures = hf.Gemma3ImageProcessorPil(size={"height": 28, "width": 28})
    processor = hf.Gemma3Processor(pictures, tokens, tokens.chat_template, image_seq_length=4)
    return _write(folder, hf.Gemma3ForConditionalGeneration(config), processor)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "idefics3": idefics3,
    "llava_next": llava_next,
    "gemma3": gemma3,
}


def _write(folder: Path, model: Any, processor: Any) -> Path:
    import torch

    torch.manual_seed(0)
    for weight in model.parameters():
        if weight.dim() > 1:  # as they are made, most are so small that no picture changes an answer
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [], "do_sample": False}))
    return folder
