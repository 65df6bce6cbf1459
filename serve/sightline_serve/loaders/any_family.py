"""Any picture-and-text model of transformers, 4.46 or 5, whose family this server does not know.

Its own processor prepares a request, and the library's loop, `generate`, taken apart into steps, reads it.
Whether these say what `generate` says, and see, is tried before the model serves (see trying.py).
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline_serve import errors
from sightline_serve.chat import Template, Turn
from sightline_serve.errors import StartError
from sightline_serve.loaders import trying
from sightline_serve.loaders.taking_turns import TakingTurns
from sightline_serve.reading import Prompt

log = logging.getLogger(__name__)


@dataclass
class Going:
    """A request: its tokens [1, tokens], and what the library hands on from one to the next: cache, masks."""

    ids: Tensor
    more: dict[str, Any]


class AnyFamily(TakingTurns):
    """`most`: how many pictures a request may have, None: no limit of the model's own.

    `texts_alone`: whether it may have none.
    """

    most: int | None = None
    texts_alone = True

    def __init__(self, model: Any, processor: Any, folder: Path, device: torch.device) -> None:
        """Raises StartError if its chat template has no place for pictures."""
        if model.config.is_encoder_decoder:
            raise StartError("it has an encoder for the text; this server reads with a decoder alone")
        super().__init__(model, processor, folder, device)
        forward, prepare = (
            inspect.signature(call).parameters
            for call in (model.forward, model.prepare_inputs_for_generation)
        )
        # What neither names, `generate` would refuse.
        self.accepted = {*forward, *prepare} - {"kwargs"}
        self.positions = "position_ids" in forward
        name = next((name for name in ("logits_to_keep", "num_logits_to_keep") if name in forward), None)
        self.constant: dict[str, Any] = {"use_cache": True, **({name: 1} if name else {})}
        self.template = Template(self._render, self._marker())

    def encode(self, text: str, pictures: list[Image.Image]) -> dict[str, Tensor]:
        """Raises a 400 ApiError if these are more pictures than the model takes, or fewer."""
        if self.most is not None and len(pictures) > self.most:
            message = f"The request has {len(pictures)} pictures; this model takes at most {self.most}."
            raise errors.bad_request(message, "messages", "too_many_images")
        if not pictures and not self.texts_alone:
            raise errors.bad_request("This model answers about pictures only: send one.", "messages")
        bos = self.tokenizer.bos_token
        made = self.processor(
            text=[text],
            images=[pictures] if pictures else None,  # a list for each text
            return_tensors="pt",
            add_special_tokens=not (bos and text.startswith(bos)),
        )
        return {
            name: value for name, value in made.items() if isinstance(value, Tensor) and name in self.accepted
        }

    def start(self, prompt: Prompt) -> tuple[Any, Tensor]:
        more: dict[str, Any] = {
            **self.moved(prompt.inputs),
            **self.constant,
            "past_key_values": self._cache(),
        }
        ids = more.pop("input_ids")
        # As `generate` begins: transformers 5 with positions, 4 with places in the cache.
        if self.positions and hasattr(self.model, "_prepare_position_ids_for_generation"):
            more["position_ids"] = self.model._prepare_position_ids_for_generation(ids, more)
        if hasattr(self.model, "_get_initial_cache_position"):
            more["cache_position"] = torch.arange(ids.shape[1], device=self.device)
        return self._forward(Going(ids, more), first=True)

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, Tensor]:
        cache.ids = torch.cat([cache.ids, cache.ids.new_tensor([[token]])], dim=1)
        return self._forward(cache, first=False)

    def _forward(self, going: Going, first: bool) -> tuple[Going, Tensor]:
        parts: dict[str, Any] = {}
        if not hasattr(self.model, "_get_initial_cache_position"):  # transformers 5 wants to be told
            parts = {"is_first_iteration": first, "next_sequence_length": None if first else 1}
        inputs = self.model.prepare_inputs_for_generation(going.ids, **parts, **going.more)
        out = self.model(**inputs, return_dict=True)
        going.more = self.model._update_model_kwargs_for_generation(out, going.more, is_encoder_decoder=False)
        return going, out.logits[0, -1]

    def _cache(self) -> Any:
        from transformers import DynamicCache

        if "config" in inspect.signature(DynamicCache.__init__).parameters:
            return DynamicCache(config=self.model.config.get_text_config(decoder=True))
        return DynamicCache()

    def _render(self, turns: list[Turn], tools: list[dict[str, Any]] | None = None) -> str:
        more = {"tools": tools} if tools else {}
        apply = self.processor.apply_chat_template
        return str(apply(turns, tokenize=False, add_generation_prompt=True, **more))

    def marks(self) -> list[int]:
        """Tokens that may stand for a picture in a prompt; processors replace what the template wrote."""
        config, written = self.model.config, self.tokenizer.convert_tokens_to_ids(self.template.placeholder)
        named = [getattr(config, name, None) for name in ("image_token_id", "image_token_index")]
        return [mark for mark in (written, *named) if mark is not None]

    def _marker(self) -> str:
        """The token that its chat template writes once for each picture. Raises StartError without one."""
        text = {"type": "text", "text": "What is it?"}
        try:
            without, one = (
                self._render([{"role": "user", "content": [*pictures, text]}])
                for pictures in ([], [{"type": "image"}])
            )
        except Exception as error:  # templates fail in ways of their own
            raise StartError(f"its chat template does not take a picture: {error}") from None
        known = [str(token) for token in self.tokenizer.get_added_vocab()]
        found = [token for token in known if one.count(token) == 1 and token not in without]
        own = getattr(self.processor, "image_token", None)
        if not found:
            raise StartError("its chat template writes no token of its own for a picture")
        return str(own) if str(own) in found else found[0]


def load(model: Any, processor: Any, folder: Path, device: torch.device) -> AnyFamily:
    """Raises StartError if its loop does not say what the library says, or does not see."""
    made = AnyFamily(model, processor, folder, device)
    trying.check(made)
    trying.measure(made)
    log.info(
        "%s: requests take turns, tried beside model.generate; %s picture a request; texts without one: %s",
        model.config.model_type,
        "more than one" if made.most is None else "one",
        "yes" if made.texts_alone else "no",
    )
    return made
