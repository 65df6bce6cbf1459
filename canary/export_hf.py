"""Writes the model as a folder that `AutoModelForImageTextToText` and `AutoProcessor` load.

The configs are written by hand in the Hub's classic layout (`language_model.model.*`, `image_token_index`,
`torch_dtype`), which transformers 4.46, transformers 5 and vLLM all read; what transformers 5 itself
saves, older loaders refuse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from canary.model import (
    HEADS,
    HIDDEN,
    LAYER_NORM_EPSILON,
    TEXT_LAYERS,
    TOWER_LAYERS,
    VOCABULARY,
    WIDTH,
    Canary,
)
from canary.tokenizer import CHAT_TEMPLATE, END, END_OF_TEXT, IMAGE, SPECIAL, token_id
from canary.vocabulary import PATCH, SIDE

CONTEXT = 2048
"""Positions in the config; training saw some 300 (four pictures and their questions)."""

_PREFIXES = (
    ("tower.class_embedding", "vision_tower.vision_model.embeddings.class_embedding"),
    ("tower.patch_embedding", "vision_tower.vision_model.embeddings.patch_embedding"),
    ("tower.position_embedding", "vision_tower.vision_model.embeddings.position_embedding"),
    ("tower.pre_layrnorm", "vision_tower.vision_model.pre_layrnorm"),
    ("tower.layers", "vision_tower.vision_model.encoder.layers"),
    ("projector", "multi_modal_projector"),
    ("text", "language_model.model"),
    ("lm_head", "language_model.lm_head"),
)


def hub_state(model: Canary) -> dict[str, Tensor]:
    """The weights in float16 under the Hub's names, with a fifth tower layer that changes nothing.

    That layer lets loaders which read the last hidden state agree with those which read the last but one.
    """
    state: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        old, new = next((old, new) for old, new in _PREFIXES if name.startswith(old + "."[: name != old]))
        state[new + name[len(old) :]] = weight
    last = f"vision_tower.vision_model.encoder.layers.{TOWER_LAYERS}."
    for name in [name for name in state if ".encoder.layers.0." in name]:
        passing = torch.zeros_like(state[name])
        if "layer_norm" in name and name.endswith("weight"):
            passing += 1
        state[last + name.split(".layers.0.")[1]] = passing
    state["vision_tower.vision_model.post_layernorm.weight"] = torch.ones(WIDTH)
    state["vision_tower.vision_model.post_layernorm.bias"] = torch.zeros(WIDTH)
    return {name: weight.detach().to(torch.float16).contiguous() for name, weight in state.items()}


def load_hub_state(model: Canary, state: dict[str, Tensor]) -> None:
    """Put weights of the Hub's names back into the training model (to train on from an exported folder)."""
    own = {}
    for name in model.state_dict():
        old, new = next((old, new) for old, new in _PREFIXES if name.startswith(old + "."[: name != old]))
        own[name] = state[new + name[len(old) :]].float()
    model.load_state_dict(own)


def _config(image: int, end: int, pad: int) -> dict[str, Any]:
    ids = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "torch_dtype": "float16",
        "image_token_index": image,
        # Zero keeps transformers 4.46 from taking a prompt without pictures for one of the old style.
        "image_seq_length": 0,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
        "tie_word_embeddings": False,
        "ignore_index": -100,
        **ids,
        "text_config": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "torch_dtype": "float16",
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "intermediate_size": HIDDEN,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "head_dim": WIDTH // HEADS,
            "hidden_act": "silu",
            "max_position_embeddings": CONTEXT,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            **ids,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "torch_dtype": "float16",
            "hidden_size": WIDTH,
            "intermediate_size": HIDDEN,
            "num_hidden_layers": TOWER_LAYERS + 1,
            "num_attention_heads": HEADS,
            "num_channels": 3,
            "image_size": SIDE,
            "patch_size": PATCH,
            "projection_dim": WIDTH,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": LAYER_NORM_EPSILON,
            "attention_dropout": 0.0,
        },
    }


def _image_processor() -> dict[str, Any]:
    # No type is named: from the model's type transformers 5 takes its LLaVA processor, which pads a picture
    # to a square, and 4.46, which has none, takes CLIP's, which crops. `do_pad` says nothing to the latter.
    return {
        "processor_class": "LlavaProcessor",
        "do_convert_rgb": True,
        "do_pad": True,
        "do_resize": True,
        "size": {"shortest_edge": SIDE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _tokenizer_config(tokenizer: Tokenizer) -> dict[str, Any]:
    added = {
        str(token_id(tokenizer, token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for token in SPECIAL
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "bos_token": None,
        "eos_token": END,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "padding_side": "left",
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "processor_class": "LlavaProcessor",
        "chat_template": CHAT_TEMPLATE,
    }


def export_hf(model: Canary, tokenizer: Tokenizer, folder: Path) -> None:
    """Write weights, configs, tokenizer and chat template into `folder` (made if missing)."""
    folder.mkdir(parents=True, exist_ok=True)
    image, end, pad = (token_id(tokenizer, token) for token in (IMAGE, END, END_OF_TEXT))
    save_file(hub_state(model), str(folder / "model.safetensors"), metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    files: dict[str, Any] = {
        "config.json": _config(image, end, pad),
        "generation_config.json": {
            "bos_token_id": None,
            "eos_token_id": end,
            "pad_token_id": pad,
            "do_sample": False,
            "max_new_tokens": 32,
        },
        "special_tokens_map.json": {"eos_token": END, "pad_token": END_OF_TEXT, "unk_token": END_OF_TEXT},
        "tokenizer_config.json": _tokenizer_config(tokenizer),
        "preprocessor_config.json": _image_processor(),
        "processor_config.json": {
            "processor_class": "LlavaProcessor",
            "patch_size": PATCH,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": IMAGE,
        },
        "chat_template.json": {"chat_template": CHAT_TEMPLATE},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "model.safetensors").chmod(0o644)
