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
from sightline_serve.chat import read
from sightline_serve.engine import Engine, Prompt, Slot
from sightline_serve.errors import StartError
from sightline_serve.kv_cache import BLOCK, RowCache
from sightline_serve.loaders import attention
from sightline_serve.schema import parse_chat
from sightline_serve.settings import Settings

from tests.serve.drawing import disc
from tests.serve.test_serve_sight import COLOUR, INK, drawn

COLOURS = ("red", "green", "blue", "black", "orange")
TOKENS = 12
SHAPES = ("circle", "square", "triangle")
SEEN = [(colour, SHAPES[i % 3]) for i, colour in enumerate(INK)]
AS_JSON = "Describe the shape as JSON with the keys color and shape."


def load(folder: Path) -> Engine:
    return Engine(loaders.load(Settings(folder, "m", vision_cache_bytes=2**20)))


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


def prompt(engine: Engine, text: str, pictures: list[Any]) -> Prompt:
    parts = [{"type": "image_url", "image_url": "data:"}] * len(pictures) + [{"type": "text", "text": text}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return engine.prepare(read(parse_chat(json.dumps(body).encode()).messages), pictures)


def generated(engine: Engine, one: Prompt, tokens: int) -> list[int]:
    """What transformers itself says to the prompt."""
    model: Any = engine.model
    answer = model.model.generate(
        **one.inputs, max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    said: list[int] = answer[0, one.length :].tolist()
    return said


class Crowd:
    """Requests that come at a step each and stay for a number of tokens; every token is the likeliest."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.slots: list[Slot] = []
        self.answers: list[list[int]] = []

    def run(self, plan: list[tuple[int, int, Prompt]]) -> list[list[int]]:
        """`plan`: (step at which it comes, tokens it wants, prompt) of each. Returns the answers in order."""
        waiting = list(enumerate(plan))
        done: dict[int, list[int]] = {}
        running: list[tuple[int, int, Slot, list[int]]] = []
        step = 0
        while waiting or running:
            for number, (at, wanted, one) in [item for item in waiting if item[1][0] <= step]:
                slot, logits = self.engine.prefill(one)
                running.append((number, wanted, slot, [int(logits.argmax())]))
                waiting.remove((number, (at, wanted, one)))
            for item in [item for item in running if len(item[3]) >= item[1]]:
                done[item[0]] = item[3]
                self.engine.release(item[2])
                running.remove(item)
            if running:
                rows = self.engine.decode([item[2] for item in running], [item[3][-1] for item in running])
                for item, logits in zip(running, rows, strict=True):
                    item[3].append(int(logits.argmax()))
            step += 1
        return [done[number] for number in range(len(plan))]


REQUEST = st.tuples(
    st.integers(0, 8),  # the step at which it comes
    st.integers(1, TOKENS),  # how many tokens it stays for
    st.text("abcdefgh ", min_size=1, max_size=60),
    st.lists(st.sampled_from(COLOURS), max_size=3),
)


@settings(max_examples=12)
@given(st.lists(REQUEST, min_size=2, max_size=7))
def test_a_crowd_says_what_generate_says_to_each_alone(
    engine: Engine, requests: list[tuple[int, int, str, list[str]]]
) -> None:
    plan = [
        (at, tokens, prompt(engine, text, [disc(colour) for colour in colours]))
        for at, tokens, text, colours in requests
    ]
    assert Crowd(engine).run(plan) == [generated(engine, one, tokens) for _, tokens, one in plan]


def test_answers_grow_over_the_edge_of_a_block_and_rows_of_every_length_stay_right(engine: Engine) -> None:
    plan = long_and_short(engine)
    assert Crowd(engine).run(plan) == [generated(engine, one, tokens) for _, tokens, one in plan]


def long_and_short(engine: Engine) -> list[tuple[int, int, Prompt]]:
    return [
        (0, 25, prompt(engine, "a" * (BLOCK - 60), [disc("red")])),
        (2, 12, prompt(engine, "short", [])),
        (5, 6, prompt(engine, "b" * (2 * BLOCK), [disc("blue")])),
        (9, 25, prompt(engine, "later", [disc("green"), disc("black")])),
    ]


def described(engine: Engine) -> list[tuple[str, str]]:
    """What the canary says of pictures that came together, when one request has left after its first word.

    An answer in JSON tells most of itself after the first token, from what is in the cache.
    """
    plan = [(0, 1, prompt(engine, COLOUR, []))]
    plan += [(i // 3, 40, prompt(engine, AS_JSON, [drawn(*look)])) for i, look in enumerate(SEEN)]
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
        for tensor in (tensor for pair in self.layers for tensor in pair):
            tensor[[0, 1]] = tensor[[1, 0]].clone()

    monkeypatch.setattr(RowCache, "leave", leave)


def left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row gets the place of the one that left, and its keys and values stay where they were."""

    def leave(self: RowCache, row: Any) -> None:
        last = self.rows.pop()
        if last is not row:
            self.rows[row.index], last.index = last, row.index

    monkeypatch.setattr(RowCache, "leave", leave)


def one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is written where the longest one ends."""
    honest = RowCache.begin

    def begin(self: RowCache) -> Any:
        positions, seen = honest(self)
        self._ends = positions[:, 0].max().expand(len(self.rows))
        return self._ends[:, None], seen

    monkeypatch.setattr(RowCache, "begin", begin)


def test_the_canary_sees_each_its_own_picture(canary: Path) -> None:
    assert described(load(canary)) == SEEN


@pytest.mark.parametrize("break_it", [swapped, left_behind, one_position])
def test_a_wrong_place_is_noticed_token_by_token(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, break_it: Any
) -> None:
    engine = load(tiny)
    break_it(monkeypatch)
    plan = long_and_short(engine)
    assert Crowd(engine).run(plan) != [generated(engine, one, tokens) for _, tokens, one in plan]


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
    plan = [(0, 5, prompt(engine, "one", [disc("red")])), (1, 5, prompt(engine, "another", []))]
    assert Crowd(engine).run(plan) == [generated(engine, one, tokens) for _, tokens, one in plan]


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
        for tensor in (tensor for pair in engine.rows.layers for tensor in pair):
            tensor[0, :, : slot.length] = torch.nan
    engine.release(slot)
    one = prompt(engine, "x", [])
    assert Crowd(engine).run([(0, 5, one)]) == [generated(engine, one, 5)]


def test_the_budget_counts_bytes(tiny: Path, engine: Engine) -> None:
    # 2 layers of 2 heads of 32 (hidden size 64), keys and values, 4 bytes each: 1024 bytes a token.
    model = engine.model
    assert joining.budget(joining.example(model), 1024 * 5000).tokens == 5000  # type: ignore[union-attr]
    # Rows of whole blocks of 256 tokens; one request and the one row that is counted for its prompt.
    assert Engine(model, kv_bytes=1024 * (2 * 512 + 2 * 255)).context == 512
    assert Engine(model, 300, kv_bytes=1024 * 5000).context == 300
    with pytest.raises(StartError, match=r"0\.5 MiB.*--kv-cache-mib"):
        Engine(model, kv_bytes=1024 * 511)


def test_memory_stays_within_the_budget_whatever_comes(tiny: Path) -> None:
    model = loaders.load(Settings(tiny, "m"))
    engine = Engine(model, kv_bytes=1024 * 5 * 512)
    assert engine.rows is not None
    rows, most, peaks = engine.rows, 1024 * 5 * 512, []

    def held() -> int:
        return sum(tensor.nbytes for pair in rows.layers for tensor in pair)

    for letters in (700, 20, 20, 20, 300, 300, 10, 600):
        one = prompt(engine, "a" * letters, [])
        while not engine.has_room(one.length + 10):
            engine.release(engine.slots[0])
        engine.prefill(one, one.length + 10)
        # The prompt was in memory beside the rows, which it did not make larger.
        peaks.append(held() + one.length * 1024)
        for _ in range(9):
            engine.decode(engine.slots, [5] * len(engine.slots))
            peaks.append(held())
    assert max(peaks) <= most
    assert max(peaks) > most // 2
    engine.empty()
    assert held() > 0
    for slot in list(engine.slots):
        engine.release(slot)
    engine.empty()
    assert held() == 0
