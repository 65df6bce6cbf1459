"""How fast the engine reads prompts and says tokens, without HTTP, beside the library's own `generate`.

    python -m canary.pace FOLDER --device cuda --batches 1,8,32 --tokens 64 --rounds 3

Prints one JSON object. Both sides are given the same prompts, a picture in each, take the likeliest token and
go on to the last, so that both do the same work. It runs where the server does, and uses its loader.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from sightline_serve import loaders
from sightline_serve.chat import read
from sightline_serve.cores import prefill_tokens
from sightline_serve.engine import Engine, Slot
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.reading import Prompt
from sightline_serve.schema import parse_chat
from sightline_serve.settings import Settings

from canary import ceilings

WARM_UP = 2
"""Tokens said before a clock runs: the first ones compile kernels and grow the cache."""
QUESTION = "What is in the picture? Describe it, and say how many there are and where they stand. "


def main(words: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line where this cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m canary.pace", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(words)
    model = loaders.load(
        Settings(given.folder, "m", device=given.device, dtype=given.dtype, vision_cache_bytes=0)
    )
    if not isinstance(model, VisionTextModel):
        print(f"pace: {given.folder} is not served by plain forwards of its own family", file=sys.stderr)
        return 2
    weight = next(model.decoder.parameters())
    ceiling = ceilings.measure(model.device, weight.dtype if weight.is_floating_point() else torch.bfloat16)
    facts = {
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu",
        "dtype": str(weight.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "parameters": model.parameters,
        "ceilings": asdict(ceiling),
        "batches": [
            measured(model, int(batch), given.tokens, given.rounds, ceiling)
            for batch in given.batches.split(",")
        ],
    }
    print(json.dumps(facts))
    return 0


def measured(
    model: VisionTextModel, batch: int, tokens: int, rounds: int, ceiling: ceilings.Ceilings
) -> dict[str, Any]:
    """One row, a figure of each round: tokens/s, the shares of the ceilings that they are, and the share of
    tokens that both sides say: 1 in float32, less where rounding decides between tokens of random weights.
    """
    engine = Engine(model, max_rows=batch)
    prompts = [prompt(engine, number) for number in range(batch)]
    found: dict[str, Any] = {"batch": batch, "prompt": prompts[0].length}
    kinds = ("prefill", "decode", "whole", "generate", "bandwidth_share", "operations_share", "alike")
    found |= {kind: [] for kind in kinds}
    for number in range(rounds + 1):  # the first one warms up
        reading, saying, said = engine_pace(engine, prompts, tokens, model.device)
        generating, expected = generate_pace(model, prompts, tokens)
        if number == 0:
            continue
        read_tokens, steps = sum(one.length for one in prompts), tokens - 1 - WARM_UP
        step = saying / steps
        moved = decoder_bytes(model) + engine.token_bytes * (read_tokens + batch * tokens // 2)
        found["prefill"].append(read_tokens / reading)
        found["decode"].append(batch / step)
        found["whole"].append(batch * tokens / (reading + step * (tokens - 1)))
        found["generate"].append(batch * tokens / generating)
        found["bandwidth_share"].append(moved / step / ceiling.bandwidth)
        found["operations_share"].append(
            2 * decoder_parameters(model) * read_tokens / reading / ceiling.operations
        )
        alike = (torch.tensor(said) == torch.tensor(expected)).float().mean()
        found["alike"].append(float(alike))
    return found


def prompt(engine: Engine, number: int) -> Prompt:
    """A picture that no other number below 256 has, and a question of a few hundred bytes."""
    row, column = divmod(number, 28)
    left, top = 20 + 9 * column, 20 + 25 * row
    picture = Image.new("RGB", (448, 448), "white")
    ImageDraw.Draw(picture).ellipse((left, top, left + 160, top + 160), fill="red")
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": QUESTION * 4}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return engine.prepare(read(parse_chat(json.dumps(body).encode()).messages), [picture])


def engine_pace(
    engine: Engine, prompts: list[Prompt], tokens: int, device: torch.device
) -> tuple[float, float, list[list[int]]]:
    """Seconds of reading all prompts and of all steps but the first few, and what was said."""
    at_once = prefill_tokens(engine.model.parameters, device.type == "cuda")
    ceilings.wait(device)
    started = time.perf_counter()
    slots = [engine.admit(one) for one in prompts]
    first: dict[Slot, int] = {}
    while waiting := [slot for slot in slots if slot not in first]:
        first |= {slot: int(logits.argmax()) for slot, logits in engine.read(waiting, at_once)}
    reading = time.perf_counter() - started
    said = [[first[slot]] for slot in slots]
    for step in range(tokens - 1):
        if step == WARM_UP:
            started = time.perf_counter()
        logits = engine.decode(slots, [tokens_said[-1] for tokens_said in said])
        for tokens_said, row in zip(said, logits, strict=True):
            tokens_said.append(int(row.argmax()))
    saying = time.perf_counter() - started
    for slot in slots:
        engine.release(slot)
    return reading, saying, said


@torch.inference_mode()
def generate_pace(
    model: VisionTextModel, prompts: list[Prompt], tokens: int
) -> tuple[float, list[list[int]]]:
    """Seconds of the library's own loop for all prompts as one batch, and what it said."""
    speaker: Any = model.model
    accepted = inspect.signature(speaker.forward).parameters
    inputs = {
        name: torch.cat([one.inputs[name] for one in prompts]).to(model.device)
        for name in prompts[0].inputs
        if name in accepted
    }
    if "mm_token_type_ids" in accepted:  # without it transformers 5 counts positions as if pictures were text
        inputs["mm_token_type_ids"] = torch.eq(inputs["input_ids"], model.placeholder_id or 0).int()
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(next(speaker.parameters()).dtype)
    ceilings.wait(model.device)
    started = time.perf_counter()
    made = speaker.generate(
        **inputs,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        eos_token_id=-1,
        pad_token_id=0,
    )
    ceilings.wait(model.device)
    said: list[list[int]] = made[:, prompts[0].length :].tolist()
    return time.perf_counter() - started, said


def decoder_parameters(model: VisionTextModel) -> int:
    """Those that each token of a prompt is multiplied with; twice as many operations are one token's forward
    pass (Kaplan et al., arXiv:2001.08361, section 2.1). The tower's work and attention's come on top, so a
    share that is computed from these is a little too low.
    """
    return sum(weight.numel() for weight in _read_each_step(model, head=False))


def decoder_bytes(model: VisionTextModel) -> int:
    """What a step of decoding reads of the weights: all but the tower and the table of embeddings."""
    return sum(weight.nbytes for weight in _read_each_step(model, head=True))


def _read_each_step(model: VisionTextModel, head: bool) -> list[torch.Tensor]:
    table = {id(weight) for weight in model.model.get_input_embeddings().parameters()}
    body = [weight for weight in model.decoder.parameters() if id(weight) not in table]
    return [*body, *model.head.parameters()] if head else body


if __name__ == "__main__":
    sys.exit(main())
