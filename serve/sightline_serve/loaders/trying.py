"""A model whose requests take turns is tried before it serves: what they hold, what they say, if it sees.

Of such a family nothing is known. So two questions about drawn pictures are asked of the library's
`generate`, each alone, and of our loop, a token each in turn: a model that keeps a note of its newest request
on itself, as some do, would mix them up. And another picture must make a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sightline_serve import joining
from sightline_serve.chat import Conversation, PictureRef
from sightline_serve.errors import StartError
from sightline_serve.loaders.taking_turns import Cost, TakingTurns, held
from sightline_serve.reading import Prompt

if TYPE_CHECKING:
    from sightline_serve.loaders.any_family import AnyFamily

SHORT = "What colour is the shape?"
LONG = "Look at it well. What colour is the shape in the middle? Answer with one word, and with nothing else."
TOKENS = 4
SAME = 1e-3  # relative: below it, two rows of logits differ by rounding


def asked(model: TakingTurns, text: str, *pictures: Image.Image) -> Prompt:
    content = [{"type": "image"}] * len(pictures) + [{"type": "text", "text": text}]
    refs = [PictureRef(number, "drawn", "") for number, _ in enumerate(pictures, 1)]
    inputs = model.encode(
        model.template(Conversation([{"role": "user", "content": content}], refs)), [*pictures]
    )
    return Prompt(inputs, int(inputs["input_ids"].shape[-1]), len(pictures))


def disc(colour: str, width: int = 224, height: int = 224) -> Image.Image:
    picture = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).ellipse((width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill=colour)
    return picture


@torch.inference_mode()
def measure(model: TakingTurns) -> None:
    """Notes what a request's cache holds for each token, and besides: two of them with the same picture."""
    (short, few), (long, many) = ((one.length, _held(model, one)) for one in _two(model, "red", "red"))
    token = max(1, -(-(many - few) // max(1, long - short)))
    model.cost = Cost(token, max(0, few - token * short))


@torch.inference_mode()
def check(model: AnyFamily) -> None:
    """Raises StartError unless it says what `generate` says, in turns, and sees.

    Sets `placeholder_id`, `most` and `texts_alone`.
    """
    family = model.model.config.model_type
    remedy = (
        f"this server has no loop of its own for the family {family!r} and cannot answer rightly with the "
        "library's; serve it with vLLM or llama.cpp, or take a model of another family (docs/serve.md)."
    )
    prompts = _two(model, "red", "blue")
    model.placeholder_id = next((one for one in model.marks() if one in prompts[0].tokens), None)
    if model.placeholder_id is None:
        raise StartError(f"its processor leaves no mark where a picture was: {remedy}")
    said = [_library(model, prompt) for prompt in prompts]
    ours = _in_turns(model, prompts, [tokens for tokens, _ in said])
    if not all(joining.close(found, expected) for found, (_, expected) in zip(ours, said, strict=True)):
        raise StartError(f"requests that take turns get other answers than model.generate's: {remedy}")
    if not _differ(model, [SHORT, "red"], [SHORT, "blue"]):
        raise StartError(f"it answers alike about a red and a blue picture, so it does not see: {remedy}")
    # Its processor or its forward may refuse a second picture, or a text without one, in any way it likes.
    try:
        model.most = None if _differ(model, [LONG, "red", "green"], [LONG, "red", "blue"]) else 1
    except Exception:
        model.most = 1
    try:
        model.start(asked(model, SHORT))
    except Exception:
        model.texts_alone = False


def _two(model: TakingTurns, first: str, second: str) -> list[Prompt]:
    """A short and a long question; with pictures of one shape if they are of one colour."""
    shape = (224, 224) if first == second else (120, 260)
    return [asked(model, SHORT, disc(first)), asked(model, LONG, disc(second, *shape))]


def _held(model: TakingTurns, prompt: Prompt) -> int:
    return held(model.start(prompt)[0])


def _library(model: AnyFamily, prompt: Prompt) -> tuple[list[int], Tensor]:
    """Tokens of `generate`, and the logits [tokens, vocab] from which it took each."""
    out: Any = model.model.generate(
        **model.moved(prompt.inputs), max_new_tokens=TOKENS, do_sample=False, num_beams=1,
        eos_token_id=-1, pad_token_id=0, return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    tokens: list[int] = out.sequences[0, -len(out.logits) :].tolist()
    return tokens, torch.cat([*out.logits])


def _in_turns(model: AnyFamily, prompts: list[Prompt], said: list[list[int]]) -> list[Tensor]:
    """Logits [tokens, vocab] of each, a token each in turn, while they are made to say what was `said`."""
    caches, first = zip(*map(model.start, prompts), strict=True)
    rows = [[row] for row in first]
    for step in range(TOKENS - 1):
        for number, prompt in enumerate(prompts):
            _, row = model.step(caches[number], said[number][step], prompt.length + step)
            rows[number].append(row)
    return [torch.stack(each) for each in rows]


def _differ(model: AnyFamily, one: list[str], other: list[str]) -> bool:
    """Whether two questions, (text, colour of each picture), get different first tokens' logits."""
    rows = [
        model.start(asked(model, text, *map(disc, colours)))[1].float() for text, *colours in (one, other)
    ]
    return float((rows[0] - rows[1]).norm() / rows[0].norm()) > SAME
