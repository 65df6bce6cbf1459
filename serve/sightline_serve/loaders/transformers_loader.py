"""Vision-language models of Hugging Face transformers, from a local folder, driven by plain forwards.

Works with transformers 4.46 and 5. The families below put picture embeddings into the token sequence and
count positions 0, 1, 2 ...; for each, tests compare this loop, alone and batched, with `model.generate`,
token by token.
"""

from __future__ import annotations

import inspect
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve.chat import Template, Turn
from sightline_serve.engine import Defaults
from sightline_serve.errors import StartError
from sightline_serve.kv_cache import Pair, RowCache
from sightline_serve.loaders import attention
from sightline_serve.settings import Settings
from sightline_serve.vision_cache import VisionCache
from sightline_serve.vocabulary import Vocabulary

FAMILIES = ("llava",)
# These families' towers see a few hundred pixels a side, but some of their processors first pad to a square:
# a strip of 70,000 x 700 pixels would become 15 GB. Larger sides are scaled down to this before.
MAX_SIDE = 4096
PICTURE_INPUTS = {
    "input_ids",
    "attention_mask",
    "pixel_values",
}  # more than these: the model merges by itself
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersModel:
    """See engine.Model."""

    def __init__(
        self, model: Any, processor: Any, folder: Path, device: torch.device, vision_bytes: int = 0
    ) -> None:
        from transformers import DynamicCache

        self.model, self.processor, self.device = model, processor, device
        self.tokenizer = processor.tokenizer
        self.vocabulary = Vocabulary(self.tokenizer)
        self.new_cache = DynamicCache
        self.shared_cache = attention.shared_cache()
        self.joinable = attention.joinable(model.config)
        self.vision = VisionCache(vision_bytes)
        placeholder = getattr(processor, "image_token", None) or "<image>"
        self.placeholder_id: int | None = self.tokenizer.convert_tokens_to_ids(placeholder)
        self.template = Template(self._render, placeholder)
        self.context = int(model.config.get_text_config().max_position_embeddings)
        wanted = _read_json(folder / "generation_config.json")
        self.eos = _eos(wanted, model, self.tokenizer)
        self.defaults = _defaults(wanted)
        self.longest_token = max(map(len, self.tokenizer.get_vocab()))
        self.parameters = sum(p.numel() for p in model.parameters())
        self.description = (
            f"{model.config.model_type}, {self.parameters / 1e6:.1f} M parameters, {model.dtype}, {device}"
        )
        accepted = inspect.signature(model.forward).parameters
        # Some tokenizers make these for every model; a forward that does not name them has no use for them.
        self.idle = {"token_type_ids"} - set(accepted)
        # Logits of the whole prompt would be vocabulary x prompt length floats; only the last row is wanted.
        name = next((name for name in ("logits_to_keep", "num_logits_to_keep") if name in accepted), None)
        self.last_only = {name: 1} if name else {}

    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]:
        # A template that writes the first token itself must not get a second one from the tokenizer.
        bos = self.tokenizer.bos_token
        for picture in pictures:
            picture.thumbnail((MAX_SIDE, MAX_SIDE))  # keeps the shape, never enlarges
        inputs = self.processor(
            text=[text],
            images=pictures or None,
            return_tensors="pt",
            add_special_tokens=not (bos and text.startswith(bos)),
        )
        return {
            name: value
            for name, value in inputs.items()
            if isinstance(value, Tensor) and name not in self.idle
        }

    def start(self, inputs: dict[str, Tensor], keys: tuple[bytes, ...] = ()) -> tuple[Any, Tensor]:
        moved = {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }
        if keys and moved.keys() == PICTURE_INPUTS:
            moved["inputs_embeds"] = self._merge(moved.pop("input_ids"), moved.pop("pixel_values"), keys)
        elif "pixel_values" not in moved:
            moved["inputs_embeds"] = self._embed(moved.pop("input_ids"))
        out = self.model(**moved, past_key_values=self.new_cache(), use_cache=True, **self.last_only)
        return out.past_key_values, out.logits[0, -1]

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]:
        out = self.model(
            inputs_embeds=self._embed(torch.tensor([[token]], device=self.device)),
            attention_mask=torch.ones(1, position + 1, dtype=torch.long, device=self.device),
            position_ids=torch.tensor([[position]], device=self.device),
            past_key_values=cache,
            use_cache=True,
        )
        return out.past_key_values, out.logits[0, -1]

    def pairs(self, cache: Any) -> list[Pair] | None:
        return attention.pairs(cache)

    def step_rows(self, rows: RowCache, tokens: list[int]) -> Tensor:
        positions, seen = rows.begin()
        out = self.model(
            inputs_embeds=self._embed(torch.tensor(tokens, device=self.device)[:, None]),
            attention_mask=attention.additive(seen, self.model.dtype),
            position_ids=positions,
            past_key_values=self.shared_cache(rows),
            use_cache=True,
        )
        rows.end()
        logits: Tensor = out.logits[:, -1]
        return logits

    def forget(self) -> None:
        self.vision.clear()

    def text(self, tokens: list[int]) -> str:
        return str(
            self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _embed(self, tokens: Tensor) -> Tensor:
        """Given bare ids, transformers 4.46 would look for pictures to merge in."""
        embedded: Tensor = self.model.get_input_embeddings()(tokens)
        return embedded

    def _merge(self, tokens: Tensor, pixels: Tensor, keys: tuple[bytes, ...]) -> Tensor:
        """The prompt's embeddings [1, tokens, width], the pictures' features in their places."""
        features = torch.cat(self.vision.features(pixels, keys, self._tower))
        places = torch.eq(tokens, self.placeholder_id or 0)[..., None]
        if int(places.sum()) != len(features):
            raise RuntimeError(f"{int(places.sum())} places in the prompt for {len(features)} picture tokens")
        embedded = self._embed(tokens)
        return embedded.masked_scatter(places, features.to(embedded.dtype))

    def _tower(self, pixels: Tensor) -> list[Tensor]:
        config = self.model.config
        made = self.model.get_image_features(
            pixel_values=pixels,
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        return list(getattr(made, "pooler_output", made))  # transformers 4 gives the features themselves

    def _render(self, turns: list[Turn]) -> str:
        return str(self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def load(settings: Settings) -> TransformersModel:
    """Loads settings.model without any network. Raises StartError with one clear line."""
    family = _read_json(settings.model / "config.json").get("model_type")
    if family not in FAMILIES:
        raise StartError(
            f"{settings.model}: the transformers loader serves {', '.join(FAMILIES)}; this is {family!r}."
        )
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    transformers: Any = import_module("transformers")  # now: it reads the environment above
    transformers.utils.logging.disable_progress_bar()
    device = _device(settings.device)
    dtype_name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    try:
        processor = transformers.AutoProcessor.from_pretrained(settings.model, local_files_only=True)
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            settings.model, local_files_only=True, **{dtype_name: _dtype(settings, device)}
        )
        if (
            getattr(processor, "tokenizer", None) is None
            or getattr(processor, "image_processor", None) is None
        ):
            raise StartError("it has no picture processor; is it a vision-language model?")
        return TransformersModel(
            model.to(device).eval(), processor, settings.model, device, settings.vision_cache_bytes
        )
    except Exception as error:  # anything may be wrong with a folder of files
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StartError(f"cannot load the model in {settings.model}: {why}") from error


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise StartError("--device cuda: torch finds no CUDA GPU on this machine; try --device cpu.")
    return torch.device(
        "cuda" if wanted == "auto" and torch.cuda.is_available() else wanted.replace("auto", "cpu")
    )


def _dtype(settings: Settings, device: torch.device) -> torch.dtype | str:
    """`auto`: the checkpoint's own on a GPU; float32 on a CPU, where half precision is slow and rough."""
    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    return "auto" if device.type == "cuda" else torch.float32


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    return content if isinstance(content, dict) else {}


def _eos(wanted: dict[str, Any], model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the generation config's, else the text model's, else the tokenizer's."""
    candidates = (
        wanted.get("eos_token_id"),
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    )
    ids: Any = next((candidate for candidate in candidates if candidate is not None), [])
    return frozenset(ids if isinstance(ids, list) else [ids])


def _defaults(wanted: dict[str, Any]) -> Defaults:
    """Read from the file, not from GenerationConfig: whose unset fields differ between versions."""
    if not wanted.get("do_sample", False):
        return Defaults()
    return Defaults(
        temperature=float(wanted.get("temperature") or 1.0),
        top_p=float(wanted.get("top_p") or 1.0),
        top_k=int(wanted.get("top_k") or 0),
        min_p=float(wanted.get("min_p") or 0.0),
    )
