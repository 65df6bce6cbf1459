"""Qwen2-VL, Qwen2.5-VL and Llama 3.2 Vision with random weights: right shapes, meaningless answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.serve import tiny_llava

CONTEXT = 4000
QWEN = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"]
MLLAMA = ["<|begin_of_text|>", "<|image|>", "<|python_tag|>"]
TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    "initializer_range": 0.2,
}  # fmt: skip


def tokenizer(special: list[str], picture: str, **more: Any) -> Any:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    backend = tiny_llava.byte_tokenizer()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=special[0], eos_token="<|im_end|>", pad_token="<pad>",
        chat_template=tiny_llava.TEMPLATE.replace("<image>", picture), **more,
    )  # fmt: skip


def qwen(folder: Path, generation: str = "qwen2_5_vl") -> Path:
    """Pictures of any shape; 28 pixels a side make one token."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokens = tokenizer(QWEN, "<|vision_start|><|image_pad|><|vision_end|>")
    ids = dict(zip(QWEN, tokens.convert_tokens_to_ids(QWEN), strict=True))
    places = {
        "vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
    }  # fmt: skip
    rope = {"type": "mrope", "rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    text = {
        **TEXT,
        "vocab_size": len(tokens),
        "num_hidden_layers": 2,
        "use_sliding_window": False,
        "rope_scaling": rope,
    }
    if generation == "qwen2_5_vl":
        vision = {
            "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64,
            "fullatt_block_indexes": [1], "window_size": 56,
        }  # fmt: skip
        config, kind = transformers.Qwen2_5_VLConfig, transformers.Qwen2_5_VLForConditionalGeneration
    else:
        vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "mlp_ratio": 2, "hidden_size": 64}
        config, kind = transformers.Qwen2VLConfig, transformers.Qwen2VLForConditionalGeneration
    shape = {"text_config": text} if transformers.__version__[0] != "4" else text
    kind(config(**shape, vision_config=vision, **places, tie_word_embeddings=False)).save_pretrained(folder)
    tokens.save_pretrained(folder)
    pictures = {
        "image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14, "merge_size": 2,
        "temporal_patch_size": 2, "min_pixels": 56 * 56, "max_pixels": 112 * 112,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    return _endless(folder)


def mllama(folder: Path) -> Path:
    """Pictures of up to two tiles of 28 pixels a side; layers 1 and 3 look at them."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokens = tokenizer(MLLAMA, "<|image|>")
    text = transformers.models.mllama.configuration_mllama.MllamaTextConfig(
        **TEXT,
        vocab_size=len(tokens),
        num_hidden_layers=4,
        cross_attention_layers=[1, 3],
        rope_scaling={"rope_type": "default"},
    )
    vision = transformers.models.mllama.configuration_mllama.MllamaVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_global_layers=1, attention_heads=2,
        image_size=28, patch_size=14, max_num_tiles=2, vision_output_dim=64, intermediate_layers_indices=[0],
        supported_aspect_ratios=[[1, 1], [1, 2], [2, 1]],
    )  # fmt: skip
    place = tokens.convert_tokens_to_ids("<|image|>")
    config = transformers.MllamaConfig(vision_config=vision, text_config=text, image_token_index=place)
    model = transformers.MllamaForConditionalGeneration(config)
    for name, weight in model.named_parameters():
        if "gate" in name:  # zero at birth: such a model would see nothing
            torch.nn.init.constant_(weight, 0.7)
    model.save_pretrained(folder)
    pictures = transformers.MllamaImageProcessor(size={"height": 28, "width": 28}, max_image_tiles=2)
    processor = transformers.MllamaProcessor(image_processor=pictures, tokenizer=tokens)
    processor.chat_template = tokens.chat_template
    processor.save_pretrained(folder)
    return _endless(folder)


def _endless(folder: Path) -> Path:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [], "do_sample": False}))
    return folder
