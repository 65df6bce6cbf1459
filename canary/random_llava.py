"""A LLaVA of about 300 M parameters with random weights, and its GGUF pair: for speed, not for answers.

    python -m canary.random_llava CANARY FOLDER

Tokenizer, template and processor are the canary's, so that every server that takes the canary takes it too.
It runs in the environment `engine`, for numpy, safetensors and gguf.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from canary.export_gguf import export_pair

WIDTH, LAYERS, INNER = 1024, 20, 2816
TOWER_WIDTH, TOWER_LAYERS, TOWER_INNER = 512, 12, 2048
SIDE, PATCH, HEAD = 224, 14, 64
CONTEXT = 2048
SPREAD = 0.02
"""Standard deviation of the weights, as Llama and CLIP are initialised."""


def config(canary: dict[str, Any]) -> dict[str, Any]:
    """The canary's config.json with the sizes above."""
    text = canary["text_config"] | {
        "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": WIDTH // HEAD, "num_key_value_heads": WIDTH // HEAD,
        "max_position_embeddings": CONTEXT,
    }  # fmt: skip
    vision = canary["vision_config"] | {
        "hidden_size": TOWER_WIDTH, "intermediate_size": TOWER_INNER, "num_hidden_layers": TOWER_LAYERS,
        "num_attention_heads": TOWER_WIDTH // HEAD, "projection_dim": TOWER_WIDTH, "image_size": SIDE,
    }  # fmt: skip
    return canary | {"text_config": text, "vision_config": vision}


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Every weight's name, as the Hub's LLaVA names them, and shape."""
    text, tower = "language_model.model", "vision_tower.vision_model"
    found: dict[str, tuple[int, ...]] = {
        f"{text}.embed_tokens.weight": (vocabulary, WIDTH),
        f"{text}.norm.weight": (WIDTH,),
        "language_model.lm_head.weight": (vocabulary, WIDTH),
        f"{tower}.embeddings.class_embedding": (TOWER_WIDTH,),
        f"{tower}.embeddings.patch_embedding.weight": (TOWER_WIDTH, 3, PATCH, PATCH),
        f"{tower}.embeddings.position_embedding.weight": ((SIDE // PATCH) ** 2 + 1, TOWER_WIDTH),
        "multi_modal_projector.linear_1.weight": (WIDTH, TOWER_WIDTH),
        "multi_modal_projector.linear_1.bias": (WIDTH,),
        "multi_modal_projector.linear_2.weight": (WIDTH, WIDTH),
        "multi_modal_projector.linear_2.bias": (WIDTH,),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        found |= {f"{tower}.{norm}.{kind}": (TOWER_WIDTH,) for kind in ("weight", "bias")}
    for layer in range(LAYERS):
        at = f"{text}.layers.{layer}"
        found |= {f"{at}.self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        found |= {f"{at}.mlp.{part}_proj.weight": (INNER, WIDTH) for part in ("gate", "up")}
        found[f"{at}.mlp.down_proj.weight"] = (WIDTH, INNER)
        found |= {f"{at}.{norm}.weight": (WIDTH,) for norm in ("input_layernorm", "post_attention_layernorm")}
    for layer in range(TOWER_LAYERS):
        at = f"{tower}.encoder.layers.{layer}"
        linear = {f"self_attn.{part}_proj": (TOWER_WIDTH, TOWER_WIDTH) for part in ("q", "k", "v", "out")}
        linear |= {"mlp.fc1": (TOWER_INNER, TOWER_WIDTH), "mlp.fc2": (TOWER_WIDTH, TOWER_INNER)}
        for part, shape in linear.items():
            found |= {f"{at}.{part}.weight": shape, f"{at}.{part}.bias": shape[:1]}
        found |= {f"{at}.layer_norm{n}.{kind}": (TOWER_WIDTH,) for n in (1, 2) for kind in ("weight", "bias")}
    return found


_PLAIN = re.compile("[!-~\u0120]+")
"""Printable ASCII; U+0120 is how byte-level tokenizers write a blank."""


def plain_tokens(canary: Path) -> list[int]:
    """The ids of the canary's tokens that are plain text.

    All others get the score 0, and of hundreds of random scores some are above it: no answer ends early, and
    every token is text that a server shows at once.
    """
    read = json.loads((canary / "tokenizer.json").read_text())
    special = {token["id"] for token in read["added_tokens"]}
    vocabulary = read["model"]["vocab"].items()
    return sorted(number for token, number in vocabulary if number not in special and _PLAIN.fullmatch(token))


def build(canary: Path, folder: Path) -> None:
    """Write the model folder and `gguf/` in it. Raises OSError where the canary is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in canary.iterdir():
        if file.is_file() and file.suffix in (".json", ".jinja"):
            shutil.copy(file, folder / file.name)
    sized = config(json.loads((canary / "config.json").read_text()))
    (folder / "config.json").write_text(json.dumps(sized, indent=1))
    processor = json.loads((canary / "preprocessor_config.json").read_text())
    processor |= {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))

    draw = np.random.default_rng(0)
    weights = {}
    for name, shape in shapes(sized["text_config"]["vocab_size"]).items():
        if "norm" in name and name.endswith("weight"):
            weights[name] = np.ones(shape, np.float16)
        else:
            weights[name] = (draw.standard_normal(shape, np.float32) * SPREAD).astype(np.float16)
    head = weights["language_model.lm_head.weight"]
    said = set(plain_tokens(canary))
    head[[number for number in range(len(head)) if number not in said]] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    export_pair(folder, folder / "gguf")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
