"""A picture that was seen before costs no tower, and is never taken for another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sightline_serve import loaders
from sightline_serve.chat import read
from sightline_serve.engine import Engine
from sightline_serve.reading import Prompt
from sightline_serve.schema import parse_chat
from sightline_serve.settings import Settings
from sightline_serve.vision_cache import VisionCache, content_key

from tests.serve.drawing import disc

# 4 picture tokens of 64 numbers of 4 bytes: see tiny_llava.
PICTURE_BYTES = 4 * 64 * 4
CPU = torch.device("cpu")


def prompt(engine: Engine, text: str, *pictures: Image.Image) -> Prompt:
    parts = [{"type": "image_url", "image_url": "data:"}] * len(pictures) + [{"type": "text", "text": text}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return engine.prepare(read(parse_chat(json.dumps(body).encode()).messages), list(pictures))


class Watched:
    """An engine, and how many pictures its tower was shown in each forward."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.model: Any = loaders.load(Settings(folder, "m", vision_cache_bytes=limit))
        self.engine = Engine(self.model)
        self.forwards: list[int] = []
        core = getattr(self.model.model, "model", self.model.model)  # transformers 5, 4
        core.vision_tower.register_forward_pre_hook(
            lambda _, args, named: self.forwards.append(len(args[0] if args else named["pixel_values"])),
            with_kwargs=True,
        )

    def ask(self, text: str, *pictures: Image.Image) -> torch.Tensor:
        slot, logits = self.engine.prefill(prompt(self.engine, text, *pictures))
        self.engine.release(slot)
        return logits


def test_a_follow_up_runs_no_tower_and_gets_the_same_answer(tiny: Path) -> None:
    kept, none = Watched(tiny, 10 * PICTURE_BYTES), Watched(tiny, 0)
    asked: list[tuple[str, list[Image.Image]]] = [
        ("what colour?", [disc("red")]),
        ("and what shape?", [disc("red")]),
        ("compare", [disc("blue"), disc("red")]),
        ("compare", [disc("red"), disc("blue")]),
        ("twice the same", [disc("green"), disc("green")]),
        ("no picture", []),
    ]
    for text, pictures in asked:
        assert torch.allclose(kept.ask(text, *pictures), none.ask(text, *pictures), atol=1e-5)
    assert kept.forwards == [1, 1, 1]  # red, blue, green
    assert none.forwards == [1, 1, 2, 2, 1]


def test_the_order_of_pictures_changes_the_answer(tiny: Path) -> None:
    kept = Watched(tiny, 10 * PICTURE_BYTES)
    one, other = kept.ask("x", disc("red"), disc("blue")), kept.ask("x", disc("blue"), disc("red"))
    assert not torch.allclose(one, other, atol=1e-5)


def test_the_least_recently_used_goes_first_and_the_bytes_are_bounded(tiny: Path) -> None:
    kept = Watched(tiny, 2 * PICTURE_BYTES + 1)
    for colour in ("red", "blue", "red", "green", "red", "blue"):
        kept.ask("x", disc(colour))
        assert kept.model.vision.size <= 2 * PICTURE_BYTES
    assert kept.forwards == [1, 1, 1, 1]  # red, blue, green, which drives blue out, blue
    kept.engine.empty()
    assert (kept.model.vision.size, len(kept.model.vision.kept)) == (0, 0)


def test_a_picture_larger_than_the_cache_is_not_kept_and_drives_nobody_out() -> None:
    cache = VisionCache(100)
    for size, keys in ((20, [b"small"]), (1000, [b"large"])):
        cache.features([{}], keys, lambda _, size=size: [torch.ones(size // 4, 1)], CPU)  # type: ignore[misc]
    assert list(cache.kept) == [b"small"]


def test_what_is_kept_holds_no_more_than_itself() -> None:
    cache = VisionCache(1000)
    cache.features([{}, {}], [b"a", b"b"], lambda pictures: list(torch.ones(2, 5, 4)), CPU)
    assert [kept.untyped_storage().nbytes() for kept in cache.kept.values()] == [80, 80]


def test_other_pixels_have_another_key() -> None:
    pixels = torch.zeros(3, 3, 4, 4)
    pixels[2, 0, 0, 0] = 1e-6
    first, same, other = (content_key({"pixel_values": one}) for one in pixels)
    assert first == same != other
    assert content_key({"other_name": pixels[0]}) != first
    assert content_key({"pixel_values": pixels[0].flatten()}) != first


def test_places_and_features_that_do_not_match_are_an_error(tiny: Path) -> None:
    """Else the pictures behind would move up into the wrong places."""
    watched = Watched(tiny, 0)
    broken = watched.model.family.tower
    watched.model.family.tower = lambda pictures: [features[:-1] for features in broken(pictures)]
    with pytest.raises(RuntimeError, match="4 places in the prompt for 3 picture tokens"):
        watched.ask("x", disc())
