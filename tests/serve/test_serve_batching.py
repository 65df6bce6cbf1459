"""Requests that share a forward say what they say alone, whatever joins and leaves beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sightline_serve import joining, loaders
from sightline_serve.engine import Engine
from sightline_serve.errors import StartError
from sightline_serve.kv_cache import BLOCK, RowCache
from sightline_serve.loaders import attention
from sightline_serve.reading import Chunk
from sightline_serve.settings import Settings

from tests.serve.crowd import Crowd, Visit, agree, load, prompt
from tests.serve.drawing import disc
from tests.serve.sights import COLOUR, INK, drawn
from tests.serve.visits import VISIT, visits

SHAPES = ("circle", "square", "triangle")
SEEN = [(colour, SHAPES[i % 3]) for i, colour in enumerate(INK)]
AS_JSON = "Describe the shape as JSON with the keys color and shape."


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Engine:
    found = load(tiny)
    assert found.batching
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(engine: Engine) -> Iterator[None]:
    yield
    assert not engine.slots
    assert engine.rows is not None
    assert not engine.rows.rows


@settings(max_examples=12)
@given(st.lists(VISIT, min_size=2, max_size=7), st.sampled_from([7, 64, 512]))
def test_a_crowd_says_what_generate_says_to_each_alone(
    engine: Engine, drawn: list[Any], at_once: int
) -> None:
    assert agree(engine, visits(engine, drawn), at_once)


def test_answers_grow_over_the_edge_of_a_block_and_rows_of_every_length_stay_right(engine: Engine) -> None:
    for at_once in (100, 2000):
        assert agree(engine, long_and_short(engine), at_once)


def test_prompts_that_fit_are_read_in_one_forward_and_their_pictures_go_through_the_tower_together(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = engine.model
    chunks: list[list[int]] = []
    towers: list[int] = []
    read_rows, tower = model.read_rows, model.family.tower

    def watched_rows(rows: RowCache, given: list[Chunk]) -> torch.Tensor:
        chunks.append([chunk.stop - chunk.start for chunk in given])
        return read_rows(rows, given)

    def watched_tower(pictures: list[Any]) -> Any:
        towers.append(len(pictures))
        return tower(pictures)

    monkeypatch.setattr(model, "read_rows", watched_rows)
    monkeypatch.setattr(model.family, "tower", watched_tower)
    model.forget()
    prompts = [
        prompt(engine, "a" * 30, [disc("red")]),
        prompt(engine, "b" * 50, [disc("blue"), disc("green")]),
    ]
    prompts += [prompt(engine, "c" * 400, []), prompt(engine, "d", [])]
    slots = [engine.admit(one) for one in prompts]
    a, b, c, d = (one.length for one in prompts)
    whole = engine.read(slots, 3 * b)  # the third is too long; the last does not lie beside the first two
    assert [slot for slot, _ in whole] == slots[:2]
    assert (chunks, towers) == ([[a, b]], [3])
    assert engine.read(slots[2:], 100) == []  # a piece of the long one
    assert [slot for slot, _ in engine.read(slots[2:], 2 * c)] == slots[2:]
    assert chunks[1:] == [[100], [c - 100, d]]
    for slot in slots:
        engine.release(slot)


def long_and_short(engine: Engine) -> list[Visit]:
    return [
        Visit(0, 25, prompt(engine, "a" * (BLOCK - 60), [disc("red")]), gives_way=11),
        Visit(2, 12, prompt(engine, "short", [])),
        Visit(5, 6, prompt(engine, "b" * (2 * BLOCK), [disc("blue")])),
        Visit(9, 25, prompt(engine, "later", [disc("green"), disc("black")])),
    ]


def described(engine: Engine) -> list[tuple[str, str]]:
    """What the canary says of pictures that came together, when one request has left after its first word.

    An answer in JSON tells most of itself after the first token, from what is in the cache.
    """
    plan = [Visit(0, 1, prompt(engine, COLOUR, []))]
    plan += [Visit(i // 3, 40, prompt(engine, AS_JSON, [drawn(*look)])) for i, look in enumerate(SEEN)]
    said = []
    for tokens in Crowd(engine).run(plan)[1:]:
        end = next((i for i, token in enumerate(tokens) if token in engine.model.eos), len(tokens))
        try:
            answer = json.loads(engine.model.text(tokens[:end]))
            said.append((answer["color"], answer["shape"]))
        except (ValueError, KeyError, TypeError):
            said.append(("", ""))
    return said


def swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the rows that stay change places when one leaves."""
    honest = RowCache.leave

    def leave(self: RowCache, row: Any) -> None:
        honest(self, row)
        for tensor in (tensor for pair in self.layers.values() for tensor in pair):
            tensor[[0, 1]] = tensor[[1, 0]].clone()

    monkeypatch.setattr(RowCache, "leave", leave)


def left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row gets the place of the one that left, and its keys and values stay where they were."""

    def leave(self: RowCache, row: Any) -> None:
        last = self.rows.pop()
        if last is not row:
            self.rows[row.index], last.index = last, row.index

    monkeypatch.setattr(RowCache, "leave", leave)


def forgets_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes back goes on from the prompt alone."""
    honest = Engine.admit
    monkeypatch.setattr(Engine, "admit", lambda self, prompt, tokens=(): honest(self, prompt, tokens[:-1]))


def one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is written where the longest one ends."""
    honest = RowCache.begin

    def begin(self: RowCache, more: Any) -> Any:
        window = honest(self, more)
        rows, at = self._to
        self._to = rows, at if len(at) > len(more) else at.max().expand(len(at))
        return window

    monkeypatch.setattr(RowCache, "begin", begin)


def test_the_canary_sees_each_its_own_picture(canary: Path) -> None:
    assert described(load(canary)) == SEEN


@pytest.mark.parametrize("break_it", [swapped, left_behind, one_position, forgets_what_it_said])
def test_a_wrong_place_is_noticed_token_by_token(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, break_it: Any
) -> None:
    engine = load(tiny)
    break_it(monkeypatch)
    assert not agree(engine, long_and_short(engine))


@pytest.mark.parametrize("break_it", [swapped, left_behind])
def test_a_cache_that_mixes_pictures_up_is_noticed(
    canary: Path, monkeypatch: pytest.MonkeyPatch, break_it: Any
) -> None:
    engine = load(canary)
    break_it(monkeypatch)
    assert described(engine) != SEEN


def test_a_model_whose_requests_cannot_share_a_forward_takes_turns(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found out at the start, and then the answers are right all the same."""
    model: Any = loaders.load(Settings(tiny, "m"))
    honest = model.step_rows
    monkeypatch.setattr(model, "step_rows", lambda rows, tokens: honest(rows, tokens).flip(0))
    engine = Engine(model)
    assert not engine.batching
    assert "do not share a forward" in caplog.text
    plan = [
        Visit(0, 5, prompt(engine, "one", [disc("red")]), gives_way=2),
        Visit(1, 5, prompt(engine, "another", [])),
    ]
    assert agree(engine, plan)


@pytest.mark.parametrize(
    ("text", "joins"),
    [
        ({}, True),
        ({"sliding_window": 64}, False),
        ({"sliding_window": 64, "use_sliding_window": False}, True),
        ({"layer_types": ["full_attention", "sliding_attention"]}, False),
        ({"rope_parameters": {"rope_type": "dynamic"}}, False),
        ({"rope_scaling": {"type": "longrope"}}, False),
        ({"rope_parameters": {"rope_type": "llama3"}}, True),
    ],
)
def test_attention_that_looks_elsewhere_is_not_joined(text: dict[str, Any], joins: bool) -> None:
    class Config:
        _attn_implementation = "sdpa"

        def get_text_config(self) -> Any:
            return SimpleNamespace(**text)

    assert attention.joinable(Config()) is joins
    Config._attn_implementation = "flash_attention_2"
    assert not attention.joinable(Config())


def test_a_row_that_broke_leaves_nothing_behind(engine: Engine) -> None:
    """A masked value that is not a number still makes the sum no number: the next row there would fail."""
    assert engine.rows is not None
    slot, _ = engine.prefill(prompt(engine, "long enough to leave much behind", []))
    with torch.inference_mode():
        for tensor in (tensor for pair in engine.rows.layers.values() for tensor in pair):
            tensor[0, :, : slot.length] = torch.nan
    engine.release(slot)
    assert agree(engine, [Visit(0, 5, prompt(engine, "x", []))])


def test_the_budget_counts_bytes(tiny: Path, engine: Engine) -> None:
    # 2 layers of 2 heads of 32 (hidden size 64), keys and values, 4 bytes each: 1024 bytes a token.
    model = engine.model
    assert joining.budget(model.layers(), 1024 * 5000).tokens == 5000  # type: ignore[union-attr]
    # Rows of whole blocks of 256 tokens, and one of two layers twice: 512 tokens take the room of 768.
    assert Engine(model, kv_bytes=1024 * (768 + 383)).context == 512
    assert Engine(model, kv_bytes=1024 * (768 + 384)).context == 768
    assert Engine(model, 300, kv_bytes=1024 * 5000).context == 300
    with pytest.raises(StartError, match=r"0\.4 MiB.*--kv-cache-mib"):
        Engine(model, kv_bytes=1024 * 383)


def test_memory_stays_within_the_budget_whatever_comes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaders.load(Settings(tiny, "m"))
    most, peaks = 1024 * 5 * 512, [0]
    engine = Engine(model, kv_bytes=most)
    assert engine.rows is not None
    rows, honest = engine.rows, RowCache._grown

    def held() -> int:
        return sum(tensor.nbytes for pair in rows.layers.values() for tensor in pair)

    def grown(self: RowCache, old: torch.Tensor, *shape: int) -> torch.Tensor:
        new = honest(self, old, *shape)
        peaks.append(held() + 2 * new.nbytes)  # this layer's keys and values are there twice
        return new

    monkeypatch.setattr(RowCache, "_grown", grown)
    for letters in (700, 20, 20, 20, 300, 300, 10, 600):
        one = prompt(engine, "a" * letters, [])
        while not engine.has_room(one):
            engine.release(engine.slots[0])
        engine.prefill(one)
        for _ in range(60):
            while not engine.has_room():
                engine.release(engine.slots[-1])
            engine.decode(engine.slots, [5] * len(engine.slots))
    assert max(peaks) <= most
    assert max(peaks) > most // 2
    engine.empty()
    assert held() > 0
    for slot in list(engine.slots):
        engine.release(slot)
    engine.empty()
    assert held() == 0
