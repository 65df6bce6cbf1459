"""The architecture numbers of a model, read off its config.json.

Keys are those of transformers' configuration classes (modeling of mllama, llava, qwen2_vl to qwen3_vl) and of
Phi-3-vision's own. A number that the file leaves to the library's default is None here: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILIES = {
    "llava": "llava", "mllama": "mllama", "phi3_v": "phi3-vision",
    "qwen2_vl": "qwen-vl", "qwen2_5_vl": "qwen-vl", "qwen3_vl": "qwen-vl",
}  # fmt: skip
"""`model_type` -> family of the catalogue."""
_CLIP_L_336 = {
    "layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "attention_heads": 16, "image_size": 336,
    "patch_size": 14,
}  # fmt: skip
"""CLIP ViT-L/14 at 336 pixels, which Phi-3-vision's config names without numbers (Radford et al., 2021)."""

Json = Mapping[str, Any]


class UnknownArchitecture(ValueError):
    """The model is of no family that the catalogue has formulae for."""


def read_config(config: Json, preprocessor: Json) -> dict[str, Any]:
    """The entry's `architecture`. Raises UnknownArchitecture."""
    kind = str(config.get("model_type"))
    family = FAMILIES.get(kind)
    if family is None:
        known = ", ".join(FAMILIES)
        raise UnknownArchitecture(f"model_type {kind!r} is of no family that the catalogue knows ({known})")
    nested = config.get("text_config")
    text = _text(
        nested if isinstance(nested, dict) and "hidden_size" in nested else dict(config, **(nested or {}))
    )
    vision, pictures = _VISION[family](config, preprocessor)
    return {"family": family, "model_type": kind, "text": text, "vision": vision, "picture_tokens": pictures}


def _text(text: Json) -> dict[str, Any]:
    hidden, heads = text.get("hidden_size"), text.get("num_attention_heads")
    return {
        "layers": text.get("num_hidden_layers"),
        "cross_attention_layers": len(text.get("cross_attention_layers") or ()),
        "hidden_size": hidden,
        "intermediate_size": text.get("intermediate_size"),
        "attention_heads": heads,
        "kv_heads": text.get("num_key_value_heads") or heads,
        "head_dim": text.get("head_dim") or (hidden // heads if hidden and heads else None),
        "vocabulary": text.get("vocab_size"),
        "max_context": text.get("max_position_embeddings"),
    }


def _mllama(config: Json, preprocessor: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    vision = config.get("vision_config") or {}
    side, patch, tiles = vision.get("image_size"), vision.get("patch_size"), vision.get("max_num_tiles")
    states = (side // patch) ** 2 + 1 if side and patch else None
    return {
        "layers": vision.get("num_hidden_layers"),
        "global_layers": vision.get("num_global_layers"),
        "hidden_size": vision.get("hidden_size"),
        "intermediate_size": vision.get("intermediate_size"),
        "attention_heads": vision.get("attention_heads"),
        "image_size": side,
        "patch_size": patch,
        "output_size": vision.get("vision_output_dim"),
    }, {
        "rule": "cross_tiles",
        "says": f"1 token in the text; up to {tiles} tiles of ({side} / {patch})^2 + 1 = {states} states for "
        "the cross-attention layers",
        "max_tiles": tiles,
        "tokens_per_tile": states,
        "text_tokens": 1,
    }  # fmt: skip


def _llava(config: Json, preprocessor: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    vision = config.get("vision_config") or {}
    side, patch = vision.get("image_size"), vision.get("patch_size")
    whole = config.get("vision_feature_select_strategy") == "full"
    tokens = (side // patch) ** 2 + whole if side and patch else None
    return {
        "layers": vision.get("num_hidden_layers"),
        "hidden_size": vision.get("hidden_size"),
        "intermediate_size": vision.get("intermediate_size"),
        "attention_heads": vision.get("num_attention_heads"),
        "image_size": side,
        "patch_size": patch,
    }, {
        "rule": "fixed",
        "says": f"({side} / {patch})^2{' + 1' if whole else ''} = {tokens} tokens for every picture",
        "tokens": tokens,
    }  # fmt: skip


def _qwen(config: Json, preprocessor: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    vision = config.get("vision_config") or {}
    patch, merge = vision.get("patch_size"), vision.get("spatial_merge_size")
    cell = patch * merge if patch and merge else None
    size = preprocessor.get("size") or {}
    return {
        "layers": vision.get("depth"),
        "hidden_size": vision.get("hidden_size"),
        "intermediate_size": vision.get("intermediate_size"),
        "attention_heads": vision.get("num_heads"),
        "patch_size": patch,
        "output_size": vision.get("out_hidden_size"),
    }, {
        "rule": "grid",
        "says": f"(h / {cell}) * (w / {cell}) with both sides rounded to multiples of {cell}",
        "cell": cell,
        "min_pixels": preprocessor.get("min_pixels") or size.get("shortest_edge"),
        "max_pixels": preprocessor.get("max_pixels") or size.get("longest_edge"),
    }  # fmt: skip


def _phi(config: Json, preprocessor: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    crops = preprocessor.get("num_crops")
    return dict(_CLIP_L_336), {
        "rule": "hd_crops",
        "says": f"up to {crops} crops of 336 pixels, each 144 tokens, and one of the whole picture",
        "crop": 336,
        "max_crops": crops,
    }


_VISION = {"mllama": _mllama, "llava": _llava, "qwen-vl": _qwen, "phi3-vision": _phi}


def read_quantisation(config: Json) -> dict[str, Any]:
    """The entry's `quantisation`. Raises UnknownArchitecture: a method that the schema does not know.

    bitsandbytes keeps one scale for 64 weights: 32 bits, or with double quantisation 8 bits and 32 bits for
    256 scales, so 4.5 and 4.127 bits a weight (Dettmers et al., QLoRA, 2023).
    """
    kept = config.get("quantization_config")
    nested = config.get("text_config") or {}
    dtype = (
        config.get("torch_dtype") or config.get("dtype") or nested.get("torch_dtype") or nested.get("dtype")
    )
    if not kept:
        bits = {"float32": 32, "float16": 16, "bfloat16": 16}.get(str(dtype))
        return {"method": "none", "bits_per_weight": bits, "compute_dtype": dtype if bits else None}
    if kept.get("load_in_4bit") and kept.get("bnb_4bit_quant_type") == "nf4":
        double = bool(kept.get("bnb_4bit_use_double_quant"))
        return {
            "method": "bitsandbytes-nf4",
            "double": double,
            "bits_per_weight": 4.127 if double else 4.5,
            "compute_dtype": kept.get("bnb_4bit_compute_dtype") or dtype,
        }
    method = kept.get("quant_method") or "an unnamed method"
    raise UnknownArchitecture(f"it is quantised by {method}, which the catalogue's schema does not know yet")
