"""Writes the model as a GGUF pair for llama.cpp: the language model, and tower with projector (mmproj).

llama.cpp's own converter takes no model of this make. Names and keys are those of the `gguf` package and of
llama.cpp's `clip` loader; two things are worth knowing: llama.cpp turns neighbouring pairs where
transformers turns
halves, so the rows of Q and K are permuted; and the tower's last norm is left out, because LLaVA does not
use it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

_TEXT = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TOWER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_WHOLE = {
    "language_model.model.embed_tokens.weight": "token_embd.weight",
    "language_model.model.norm.weight": "output_norm.weight",
    "language_model.lm_head.weight": "output.weight",
    "vision_tower.vision_model.embeddings.class_embedding": "v.class_embd",
    "vision_tower.vision_model.embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "vision_tower.vision_model.embeddings.position_embedding.weight": "v.position_embd.weight",
    "vision_tower.vision_model.pre_layrnorm.weight": "v.pre_ln.weight",
    "vision_tower.vision_model.pre_layrnorm.bias": "v.pre_ln.bias",
    "multi_modal_projector.linear_1.weight": "mm.0.weight",
    "multi_modal_projector.linear_1.bias": "mm.0.bias",
    "multi_modal_projector.linear_2.weight": "mm.2.weight",
    "multi_modal_projector.linear_2.bias": "mm.2.bias",
}
_LAYER = re.compile(r"\.layers\.(\d+)\.(.+)\.(weight|bias)$")


def gguf_name(name: str) -> str | None:
    """The GGUF name of a Hub weight; None for the tower's last norm, which is left out. Raises KeyError if
    unknown."""
    if ".post_layernorm." in name:
        return None
    match = _LAYER.search(name)
    if match is None:
        return _WHOLE[name]
    layer, part, kind = match.groups()
    if name.startswith("vision_tower"):
        return f"v.blk.{layer}.{_TOWER[part]}.{kind}"
    return f"blk.{layer}.{_TEXT[part]}.{kind}"


def paired(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of a Q or K matrix [out, in] reordered from rotated halves to rotated neighbours, head by head."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def class_last(positions: NDArray[Any]) -> NDArray[Any]:
    """Position embeddings [1 + patches, width] with the class token's moved from first to last.

    llama.cpp (seen with xllamacpp, and only visible to a model that reads) puts the class token behind the
    patches and counts positions from 0: with the Hub's order every patch has its left neighbour's position.
    """
    return np.concatenate([positions[1:], positions[:1]])


def _add(writer: Any, name: str, weight: NDArray[Any]) -> None:
    precise = weight.ndim == 1 or "position_embd" in name
    writer.add_tensor(name, np.ascontiguousarray(weight, dtype=np.float32 if precise else np.float16))


def _close(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _text_writer(path: Path, config: dict[str, Any], folder: Path) -> Any:
    import gguf

    text = config["text_config"]
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("canary")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_dimension_count(text["head_dim"])
    writer.add_rope_freq_base(text["rope_theta"])
    writer.add_vocab_size(text["vocab_size"])
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    special = {entry["content"] for entry in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token, _ in vocabulary]
    )
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    )
    writer.add_bos_token_id(text["pad_token_id"])
    writer.add_eos_token_id(text["eos_token_id"])
    writer.add_pad_token_id(text["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    return writer


def _tower_writer(path: Path, config: dict[str, Any], processor: dict[str, Any]) -> Any:
    import gguf

    vision = config["vision_config"]
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_name("canary mmproj")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for key, value in {
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "embedding_length": vision["hidden_size"],
        "feed_forward_length": vision["intermediate_size"],
        "projection_dim": config["text_config"]["hidden_size"],
        "block_count": vision["num_hidden_layers"],
        "attention.head_count": vision["num_attention_heads"],
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", vision["layer_norm_eps"])
    writer.add_array("clip.vision.image_mean", processor["image_mean"])
    writer.add_array("clip.vision.image_std", processor["image_std"])
    return writer


def export_pair(folder: Path, out: Path) -> tuple[Path, Path]:
    """Write `canary-f16.gguf` and `mmproj-canary-f16.gguf` into `out` from a model folder; returns both
    paths.

    Raises FileNotFoundError where the folder is not a whole model.
    """
    config = json.loads((folder / "config.json").read_text())
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    paths = (out / "canary-f16.gguf", out / "mmproj-canary-f16.gguf")
    text, tower = _text_writer(paths[0], config, folder), _tower_writer(paths[1], config, processor)
    heads = config["text_config"]["num_attention_heads"]
    for name, weight in weights.items():
        target = gguf_name(name)
        if target is None:
            continue
        if target.startswith("blk.") and ("attn_q" in target or "attn_k" in target):
            weight = paired(weight, heads)
        if target == "v.position_embd.weight":
            weight = class_last(weight)
        _add(tower if target.startswith(("v.", "mm.")) else text, target, weight)
    _close(text)
    _close(tower)
    return paths
