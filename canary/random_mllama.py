"""A Llama 3.2 Vision (mllama) of about 300 M parameters with random weights: for speed, not for answers.

    python -m canary.random_mllama CANARY FOLDER

Four of its twenty layers look at the picture, which is one tile of 224 pixels a side. The tokenizer is the
canary's with mllama's special tokens. It runs in the environment `engine`, for torch and transformers.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from canary.random_llava import plain_tokens

WIDTH, LAYERS, INNER, LOOKING = 1024, 20, 2816, [3, 8, 13, 18]
TOWER_WIDTH, TOWER_LAYERS, TOWER_INNER = 512, 12, 2048
SIDE, PATCH, HEAD = 224, 14, 64
CONTEXT = 2048
SPECIAL = ["<|begin_of_text|>", "<|image|>", "<|python_tag|>"]
GATE = 0.7
"""Gates are zero at birth: such a model would not look at its picture."""


def build(canary: Path, folder: Path) -> None:
    """Write the model folder. Raises OSError where the canary is not whole."""
    import torch

    tokens = tokenizer(canary)
    text = {
        "vocab_size": len(tokens), "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": WIDTH // HEAD,
        "num_key_value_heads": WIDTH // HEAD // 2, "cross_attention_layers": LOOKING,
        "max_position_embeddings": CONTEXT,
    }  # fmt: skip
    vision = {
        "hidden_size": TOWER_WIDTH, "intermediate_size": TOWER_INNER, "num_hidden_layers": TOWER_LAYERS,
        "num_global_layers": 2, "attention_heads": TOWER_WIDTH // HEAD, "image_size": SIDE,
        "patch_size": PATCH, "max_num_tiles": 1, "vision_output_dim": 2 * TOWER_WIDTH,
        "intermediate_layers_indices": [5], "supported_aspect_ratios": [[1, 1]],
    }  # fmt: skip
    torch.manual_seed(0)
    made = model(tokens, text, vision)
    with torch.no_grad():
        head: Any = made.get_output_embeddings()
        said = set(plain_tokens(canary))
        head.weight[[number for number in range(len(tokens)) if number not in said]] = 0
    made.half().save_pretrained(folder)
    save_processor(canary, folder, tokens, SIDE, tiles=1)


def tokenizer(canary: Path) -> Any:
    """The canary's, with mllama's special tokens."""
    from tokenizers import AddedToken, Tokenizer

    transformers: Any = import_module("transformers")  # its classes are made while it is imported
    backend = Tokenizer.from_file(str(canary / "tokenizer.json"))
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=SPECIAL[0], eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )


def model(tokens: Any, text: dict[str, Any], vision: dict[str, Any]) -> Any:
    """A random one of these sizes, with its gates open, on torch's default device, of its default dtype."""
    import torch

    transformers: Any = import_module("transformers")
    sizes: Any = import_module("transformers.models.mllama.configuration_mllama")
    ids = {f"{name}_token_id": getattr(tokens, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    made = transformers.MllamaForConditionalGeneration(
        transformers.MllamaConfig(
            vision_config=sizes.MllamaVisionConfig(**vision),
            text_config=sizes.MllamaTextConfig(**{"rope_scaling": {"rope_type": "default"}} | text | ids),
            image_token_index=tokens.convert_tokens_to_ids("<|image|>"),
        )
    )
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "gate_" in name or name.endswith("_gate"):
                weight.fill_(GATE)
    return made


def save_processor(canary: Path, folder: Path, tokens: Any, side: int, tiles: int) -> None:
    """What stands beside the weights; pictures are up to so many tiles of `side` pixels."""
    transformers: Any = import_module("transformers")
    size = {"height": side, "width": side}
    pictures = transformers.MllamaImageProcessor(size=size, max_image_tiles=tiles)
    processor = transformers.MllamaProcessor(image_processor=pictures, tokenizer=tokens)
    processor.chat_template = (canary / "chat_template.jinja").read_text().replace("<image>\\n", "<|image|>")
    processor.save_pretrained(folder)
    ends = {"eos_token_id": tokens.eos_token_id, "pad_token_id": tokens.pad_token_id, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
