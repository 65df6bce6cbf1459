"""Requests that come and go, as the scheduler lets them; every token is the likeliest."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline_serve import loaders
from sightline_serve.chat import read
from sightline_serve.engine import Engine, Slot
from sightline_serve.reading import Prompt
from sightline_serve.schema import parse_chat
from sightline_serve.settings import Settings
from torch import Tensor


def load(folder: Path) -> Engine:
    return Engine(loaders.load(Settings(folder, "m", vision_cache_bytes=2**20)))


def prompt(engine: Engine, text: str, pictures: list[Any]) -> Prompt:
    parts = [{"type": "image_url", "image_url": "data:"}] * len(pictures) + [{"type": "text", "text": text}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return engine.prepare(read(parse_chat(json.dumps(body).encode()).messages), pictures)


def generated(engine: Engine, one: Prompt, tokens: int) -> list[int]:
    """What transformers itself says to the prompt."""
    model: Any = engine.model
    accepted = inspect.signature(model.model.forward).parameters
    inputs = {name: value for name, value in one.inputs.items() if name in accepted}
    if "mm_token_type_ids" in accepted:
        # Without it, transformers 5 counts positions as if a picture were text.
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == model.placeholder_id).int()
    speaker = model.model
    if "pixel_values" not in inputs and model.model.config.model_type == "llava":
        # The LLaVA of transformers 4.46 wants a picture in every text; its language model does not.
        text = getattr(speaker, "language_model", None)
        speaker = text if hasattr(text, "generate") else speaker
    answer = speaker.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    said: list[int] = answer[0, one.length :].tolist()
    return said


@dataclass(frozen=True)
class Visit:
    """A request that comes at a step and stays for `tokens` tokens.

    It is sent back to the queue when it has said `gives_way` of them, and comes again at the next step.
    """

    at: int
    tokens: int
    prompt: Prompt
    gives_way: int = 0


@dataclass
class Crowd:
    """`at_once`: tokens of prompts that are read in a forward."""

    engine: Engine
    at_once: int = 512
    slots: dict[int, Slot] = field(default_factory=dict)
    said: dict[int, list[int]] = field(default_factory=dict)

    def run(self, plan: list[Visit]) -> list[list[int]]:
        """Returns the answers in order."""
        coming = {number: visit.at for number, visit in enumerate(plan)}
        step = 0
        while coming or self.slots:
            for number in [number for number, at in coming.items() if at <= step]:
                said = self.said.setdefault(number, [])
                self.slots[number] = self.engine.admit(plan[number].prompt, said)
                del coming[number]
            if unread := [slot for slot in self.slots.values() if slot.left]:
                for slot, logits in self.engine.read(unread, self.at_once):
                    self._take(slot, logits)
            self._dismiss(plan, coming, step)
            answering = {number: slot for number, slot in self.slots.items() if not slot.left}
            if answering:
                slots = list(answering.values())
                rows = self.engine.decode(slots, [self.said[number][-1] for number in answering])
                for slot, logits in zip(slots, rows, strict=True):
                    self._take(slot, logits)
            self._dismiss(plan, coming, step)
            step += 1
        return [self.said[number] for number in range(len(plan))]

    def _take(self, slot: Slot, logits: Tensor) -> None:
        number = next(number for number, own in self.slots.items() if own is slot)
        self.said[number].append(int(logits.argmax()))

    def _dismiss(self, plan: list[Visit], coming: dict[int, int], step: int) -> None:
        for number, slot in list(self.slots.items()):
            visit, said = plan[number], len(self.said[number])
            if said >= visit.tokens or (said and said == visit.gives_way and not slot.tokens):
                self.engine.release(slot)
                del self.slots[number]
                if said < visit.tokens:
                    coming[number] = step + 1


def agree(engine: Engine, plan: list[Visit], at_once: int = 512) -> bool:
    """Whether each says what `generate` says to it alone."""
    found = Crowd(engine, at_once).run(plan)
    return found == [generated(engine, visit.prompt, visit.tokens) for visit in plan]
