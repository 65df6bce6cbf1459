"""What `scripts/bench gpu` runs on a GPU, run on this processor: models' sizes, figures, shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sightline_serve import loaders
from sightline_serve.engine import Engine, Slot
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.settings import Settings
from torch import Tensor

from canary import ceilings, pace, random_sized
from tests.serve import tiny_families, tiny_llava

CANARY = Path(__file__).parents[2] / "canary/weights"
SMALL_TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 600,
}  # fmt: skip
SMALL_TOWERS = {
    False: {"num_attention_heads": 2, "image_size": 112},
    True: {"num_global_layers": 1, "attention_heads": 2, "image_size": 56, "vision_output_dim": 64,
           "intermediate_layers_indices": [0]},
}  # fmt: skip
"""Of models whose pictures are seen across, and of the others."""
SMALL_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
CEILINGS = ceilings.Ceilings(1e9, 1e9)


def small_tower(shape: random_sized.Shape) -> dict[str, Any]:
    return shape.vision | SMALL_TOWER | SMALL_TOWERS[shape.looks_across]


@pytest.mark.parametrize("name", random_sized.SHAPES)
def test_a_model_of_real_size_has_as_many_parameters_as_the_real_one(name: str) -> None:
    shape = random_sized.SHAPES[name]
    with torch.device("meta"):
        made = random_sized.model(shape, CANARY)
    counted = sum(weight.numel() for weight in made.parameters())
    assert counted == pytest.approx(shape.parameters, rel=0.01)


@pytest.mark.parametrize("name", random_sized.SHAPES)
def test_what_is_written_is_loaded_and_says_what_the_library_says(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same shape with fewer and narrower layers, through the server's own loader, in float32."""
    shape = random_sized.SHAPES[name]
    looking = {"cross_attention_layers": [1, 3]} if shape.looks_across else {}
    small = replace(
        shape,
        text=shape.text | SMALL_TEXT | looking,
        vision=small_tower(shape),
    )
    random_sized.build(CANARY, tmp_path / "model", small)
    words = ["--device", "cpu", "--dtype", "float32", "--batches", "1,3", "--tokens", "8", "--rounds", "2"]
    assert pace.main([str(tmp_path / "model"), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["batch"] for row in told["batches"]] == [1, 3]
    for row in told["batches"]:
        assert row["alike"] == [1.0, 1.0]
        assert all(value > 0 for kind in ("prefill", "decode", "generate") for value in row[kind])


def test_a_cut_off_build_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(random_sized, "_llava_files", breaks)
    shape = random_sized.SHAPES["llava-1.5-7b"]
    small = replace(shape, text=shape.text | SMALL_TEXT, vision=small_tower(shape))
    with pytest.raises(OSError, match="no space"):
        random_sized.build(CANARY, tmp_path / "model", small)
    assert not (tmp_path / "model").exists()


def loaded(folder: Path) -> VisionTextModel:
    model = loaders.load(Settings(folder, "m", device="cpu"))
    assert isinstance(model, VisionTextModel)
    return model


def test_what_a_step_reads_is_all_but_tower_and_table(tmp_path: Path) -> None:
    model = loaded(tiny_llava.build(tmp_path / "m"))
    by_name = dict(model.model.named_parameters())
    left_out = ("vision_tower", "multi_modal_projector", "embed_tokens")
    read = {name: weight for name, weight in by_name.items() if not any(part in name for part in left_out)}
    assert any("lm_head" in name for name in read)
    assert pace.decoder_bytes(model) == 4 * sum(weight.numel() for weight in read.values())
    without_head = [weight for name, weight in read.items() if "lm_head" not in name]
    assert pace.decoder_parameters(model) == sum(weight.numel() for weight in without_head)


def test_an_engine_that_says_something_else_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny_families.mllama(tmp_path / "m"))
    assert pace.measured(model, 2, 8, 1, CEILINGS)["alike"] == [1.0]
    right = Engine.decode

    def contrary(self: Engine, slots: Sequence[Slot], tokens: Sequence[int]) -> list[Tensor]:
        return [-row for row in right(self, slots, tokens)]

    monkeypatch.setattr(Engine, "decode", contrary)
    assert pace.measured(model, 2, 8, 1, CEILINGS)["alike"][0] < 0.5


def test_figures_of_a_pace_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests, read in 4 s; 13 steps of 0.1 s after the first two of 15; `generate` takes 8 s."""
    model = loaded(tiny_llava.build(tmp_path / "m"))
    said = [[1] * 16, [2] * 16]
    monkeypatch.setattr(pace, "engine_pace", lambda *_: (4.0, 1.3, said))
    monkeypatch.setattr(pace, "generate_pace", lambda *_: (8.0, [[1] * 16, [2] * 12 + [3] * 4]))
    monkeypatch.setattr(pace, "decoder_bytes", lambda _: 30_000_000)
    monkeypatch.setattr(pace, "decoder_parameters", lambda _: 5_000_000)
    row = pace.measured(model, 2, 16, 1, ceilings.Ceilings(1e9, 1e11))
    prompt = row["prompt"]
    assert row["decode"] == [pytest.approx(20)]
    assert row["whole"] == [pytest.approx(32 / 5.5)]
    assert row["generate"] == [4.0]
    assert row["alike"] == [0.875]
    assert row["prefill"] == [pytest.approx(prompt / 2)]
    assert row["operations_share"] == [pytest.approx(prompt / 2 * 1e7 / 1e11)]
    layers = Engine(model).token_bytes
    assert row["bandwidth_share"] == [pytest.approx((3e7 + layers * (2 * prompt + 16)) / 1e8)]


def test_no_two_requests_have_the_same_picture(tmp_path: Path) -> None:
    engine = Engine(loaded(tiny_llava.build(tmp_path / "m")))
    seen = {pace.prompt(engine, number).inputs["pixel_values"].numpy().tobytes() for number in range(256)}
    assert len(seen) == 256


def test_this_processors_ceilings_are_of_a_computer() -> None:
    found = ceilings.measure(torch.device("cpu"), torch.float32)
    assert 1e8 < found.bandwidth < 1e13
    assert 1e8 < found.operations < 1e15
