"""Families whose pictures or positions are of another kind: each says what `model.generate` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sightline_serve import loaders
from sightline_serve.engine import Engine
from sightline_serve.errors import ApiError
from sightline_serve.kv_cache import RowCache
from sightline_serve.loaders.qwen_vl import QwenVL
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.reading import Prompt
from sightline_serve.settings import Settings

from tests.serve import tiny_families
from tests.serve.crowd import Visit, agree, generated, load, prompt
from tests.serve.drawing import disc
from tests.serve.visits import VISIT, visits

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "mllama")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    for name, folder in made.items():
        tiny_families.mllama(folder) if name == "mllama" else tiny_families.qwen(folder, name)
    return made


@pytest.fixture(scope="module")
def engines(folders: dict[str, Path]) -> dict[str, Engine]:
    return {name: load(folder) for name, folder in folders.items()}


def oblong(colour: str, width: int, height: int) -> Image.Image:
    return disc(colour).resize((width, height))


def mixed(engine: Engine) -> list[Visit]:
    """Pictures of several shapes, requests with none to three, that come, leave and give way."""
    return [
        Visit(0, 12, prompt(engine, "one", [oblong("red", 200, 60)]), gives_way=5),
        Visit(0, 3, prompt(engine, "none at all", [])),
        Visit(1, 12, prompt(engine, "two", [oblong("blue", 60, 220), disc("green")])),
        Visit(
            2, 12, prompt(engine, "x" * 300, [disc("black"), oblong("red", 90, 90), oblong("blue", 150, 70)])
        ),
        Visit(5, 9, prompt(engine, "late", [])),
        Visit(6, 9, prompt(engine, "late", [oblong("green", 100, 100)])),
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_mixed_crowd_says_what_generate_says_to_each_alone(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    assert engine.batching
    for at_once in (40, 1000):
        assert agree(engine, mixed(engine), at_once)
    assert engine.rows is not None
    assert not engine.rows.rows


@pytest.mark.parametrize("name", FAMILIES)
def test_any_crowd_does(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]

    @settings(max_examples=6)
    @given(st.lists(VISIT, min_size=2, max_size=5), st.sampled_from([7, 64, 512]))
    def crowds(drawn: list[Any], at_once: int) -> None:
        assert agree(engine, visits(engine, drawn), at_once)

    crowds()


@pytest.mark.parametrize("name", FAMILIES)
def test_taking_turns_it_says_the_same(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model: Any = loaders.load(Settings(folders[name], "m"))
    model.joinable = False
    engine = Engine(model)
    assert not engine.batching
    assert agree(engine, mixed(engine)[:3])


@pytest.mark.parametrize("name", FAMILIES)
def test_it_sees(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    said = [generated(engine, prompt(engine, "what?", [disc(colour)]), 8) for colour in ("red", "blue")]
    assert said[0] != said[1]


def no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer counts on from the number of tokens, as if a picture were a line of text."""
    monkeypatch.setattr(VisionTextModel, "settle", lambda *_: None)


def flat_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and columns of a picture change places."""
    honest = QwenVL.positions

    def positions(self: QwenVL, *given: Any) -> Any:
        found, offset = honest(self, *given)
        return found[[0, 2, 1]], offset

    monkeypatch.setattr(QwenVL, "positions", positions)


def pictures_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request moves into the row of one that left, and gets the other one's pictures."""
    honest = RowCache.leave

    def leave(self: RowCache, row: Any) -> None:
        if self.beside:
            return honest(self, row)
        last = self.rows.pop()
        if last is not row:
            self.rows[row.index], last.index = last, row.index
        return None

    monkeypatch.setattr(RowCache, "leave", leave)


def pictures_of_the_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no pictures sees what is left of those that had."""
    honest = RowCache.fill

    def fill(self: RowCache, row: Any, kept: Any, tokens: int) -> None:
        honest(self, row, kept, tokens)
        for key, value in self.layers.values():
            for tensor in (key, value):
                tensor[:, :, : tensor.shape[2]] = tensor[row.index].clone()

    monkeypatch.setattr(RowCache, "fill", fill)


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        ("qwen2_5_vl", no_offset),
        ("qwen2_5_vl", flat_pictures),
        ("mllama", pictures_left_behind),
        ("mllama", pictures_of_the_neighbour),
    ],
)
def test_what_is_broken_is_noticed(
    folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    break_it: Callable[[pytest.MonkeyPatch], None],
) -> None:
    break_it(monkeypatch)
    engine = load(folders[name])
    assert not agree(engine, mixed(engine))


def test_positions_of_a_picture_by_hand(engines: dict[str, Engine]) -> None:
    """Two words, a picture of 2 rows and 3 columns, two words; figure 3 of the Qwen2-VL report."""
    model: Any = engines["qwen2_5_vl"].model
    place = model.family.placeholder
    ids = torch.tensor([[11, 12, *[place] * 6, 13, 14]])
    found, offset = model.family.positions({"input_ids": ids}, [{"image_grid_thw": torch.tensor([1, 4, 6])}])
    assert found.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6],
    ]
    assert offset == -3


def test_places_of_pictures_count_in_the_budget(folders: dict[str, Path]) -> None:
    """A picture is 2 tiles of 5 patches in 2 layers; a token is in 2 layers: 3 pictures weigh 30 tokens.

    One row of 256 tokens and 30, and one of two layers twice: 429.
    """
    model = loaders.load(Settings(folders["mllama"], "m"))
    each = 2 * 2 * 2 * 16 * 4  # layers, keys and values, heads, head size, bytes

    def asked(tokens: int, pictures: int) -> Prompt:
        engine = Engine(model, kv_bytes=each * tokens)
        return prompt(engine, "x", [disc()] * pictures)

    assert asked(428, 2).pictures == 2
    with pytest.raises(ApiError) as caught:
        asked(428, 3)
    assert caught.value.code == "context_length_exceeded"
    three = asked(429, 3)
    engine = Engine(model, kv_bytes=each * 2 * 429)
    assert engine.room(three) == 512 - three.length
    engine.prefill(three)
    assert engine.has_room(three)  # 2 x 286 and a half of it: 858
    engine = Engine(model, kv_bytes=each * (2 * 429 - 1))
    engine.prefill(three)
    assert not engine.has_room(three)
