"""Families without batched decode here: each says what `model.generate` says, in turns, or is refused."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from sightline_serve import loaders
from sightline_serve.engine import Engine
from sightline_serve.errors import ApiError, StartError
from sightline_serve.loaders.taking_turns import Cost, held
from sightline_serve.settings import Settings

from tests.serve.crowd import Visit, agree, generated, prompt
from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.turn_families import FAMILIES

LlavaNext: Any = transformers.LlavaNextForConditionalGeneration
LlavaNextProcessor: Any = transformers.LlavaNextProcessor


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in FAMILIES.items()}


def engine_of(folder: Path, kv_bytes: int | None = None) -> Engine:
    return Engine(loaders.load(Settings(folder, "m")), kv_bytes=kv_bytes)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_mixed_crowd_says_what_generate_says_to_each_alone(folders: dict[str, Path], name: str) -> None:
    engine = engine_of(folders[name])
    assert not engine.batching
    red, green = (prompt(engine, "one", [disc(colour).resize((200, 60))]) for colour in ("red", "green"))
    plan = [
        Visit(0, 8, red, gives_way=4),
        Visit(0, 3, prompt(engine, "none at all", [])),
        Visit(1, 8, prompt(engine, "x" * 100, [disc("blue").resize((60, 220)), disc("green")])),
        Visit(2, 8, green),
    ]
    assert agree(engine, plan)
    assert generated(engine, red, 4) != generated(engine, green, 4)


def blind(monkeypatch: pytest.MonkeyPatch, *lost: str) -> None:
    """A model that loses its picture on the way, in `generate` too, which may have it read beforehand."""
    honest = LlavaNext.prepare_inputs_for_generation
    nothing = dict.fromkeys(lost or ("pixel_values", "mm_encoder_outputs"))

    @functools.wraps(honest)
    def prepare(self: Any, *given: Any, **named: Any) -> Any:
        return {**honest(self, *given, **named), **nothing}

    monkeypatch.setattr(LlavaNext, "prepare_inputs_for_generation", prepare)


def blind_in_our_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    blind(monkeypatch, "pixel_values")


def one_note_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that remembers the newest prompt only, as some do with positions."""
    honest = LlavaNext.forward

    @functools.wraps(honest)
    def forward(self: Any, input_ids: Any = None, **named: Any) -> Any:
        out = honest(self, input_ids, **named)
        if input_ids.shape[1] > 1:
            self.note = input_ids.shape[1]
        else:
            out.logits = out.logits.roll(self.note, -1)
        return out

    monkeypatch.setattr(LlavaNext, "forward", forward)


def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that leaves pictures out."""
    monkeypatch.setattr(LlavaNextProcessor, "apply_chat_template", lambda *_, **__: "What is it?")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (blind, "a red and a blue picture, so it does not see.*family 'llava_next'"),
        (blind_in_our_loop, "other answers than model.generate's.*family 'llava_next'"),
        (one_note_for_all, "other answers than model.generate's.*family 'llava_next'"),
        (unmarked, "writes no token of its own for a picture"),
    ],
)
def test_what_would_answer_wrongly_does_not_start(
    folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[pytest.MonkeyPatch], None],
    why: str,
) -> None:
    break_it(monkeypatch)
    with pytest.raises(StartError, match=why):
        engine_of(folders["llava_next"])


@pytest.mark.parametrize("family", ["phi3_v", "bert", None])
def test_what_is_no_picture_and_text_model_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, family: str | None
) -> None:
    config = json.loads((folders["llava_next"] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": family}))
    with pytest.raises(StartError, match=f"serves llava, .*and in turns the other.*; this is {family!r}"):
        engine_of(tmp_path)


def test_a_processor_that_takes_just_one_picture_is_found_out(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LlavaNextProcessor.__call__

    def strict(self: Any, images: Any = None, **named: Any) -> Any:
        if not images or len(images[0]) > 1:
            raise ValueError("one picture, please")
        return honest(self, images=images, **named)

    monkeypatch.setattr(LlavaNextProcessor, "__call__", strict)
    engine = engine_of(folders["llava_next"])
    assert prompt(engine, "x", [disc()]).pictures == 1
    for pictures, why in (
        ([disc(), disc("blue")], "has 2 pictures; this model takes at most 1"),
        ([], "send one"),
    ):
        with pytest.raises(ApiError, match=why) as caught:
            prompt(engine, "x", pictures)
        assert caught.value.status == 400


def test_memory_bounds_who_runs(folders: dict[str, Path]) -> None:
    """By hand: a token is keys and values of 2 heads of 16 floats in 2 layers, 512 bytes, beside its number, its
    mask and its position, 24. A square picture is 5 tiles of 3 x 28 x 28 floats, 47,040 bytes, and 32 of notes.

    That is 88 tokens a picture. A request of a block of 256 tokens, and one of two layers twice: 516.
    """  # noqa: E501
    model: Any = engine_of(folders["llava_next"]).model
    assert model.cost == Cost(512 + 24, 47_040 + 32)
    one = prompt(Engine(model), "x", [disc()])
    for tokens, room in (2 * 516 - 1, False), (2 * 516, True):
        engine = Engine(model, kv_bytes=tokens * 536)
        engine.prefill(one)
        assert engine.has_room(one) is room
    engine = Engine(model, kv_bytes=515 * 536)
    with pytest.raises(ApiError) as caught:
        prompt(engine, "x", [disc()])
    assert caught.value.code == "context_length_exceeded"


def test_bytes_are_counted_once_wherever_a_cache_keeps_them() -> None:
    import torch

    class Layer:
        def __init__(self) -> None:
            self.keys, self.back = torch.zeros(10), self

    layer = Layer()
    assert held([layer, {"again": layer.keys[:5]}, (torch.zeros(3, dtype=torch.int8), None)]) == 40 + 3


@pytest.mark.slow
def test_the_server_says_that_requests_take_turns(
    folders: dict[str, Path], start: Callable[..., ServerProcess]
) -> None:
    server = start(folders["idefics3"])
    client = server.client()
    assert client.models.list().data[0].model_dump()["batching"] is False
    assert "idefics3: requests take turns, tried beside model.generate" in server.log.read_text()
    said = [
        server.post(ask("colour?", data_url(encoded(disc(colour))), max_tokens=8, logprobs=True)).json()
        for colour in ("red", "blue", "red")
    ]
    texts = [answer["choices"][0]["message"]["content"] for answer in said]
    assert texts[0] == texts[2] != texts[1]


def test_a_folder_that_lacks_weights_is_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["idefics3"], tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(StartError, match=r"cannot load the model in .*\n?"):
        engine_of(tmp_path / "m")
