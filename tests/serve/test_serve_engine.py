"""The engine over a real (random) model: our loop is the library's, token for token, also side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sightline_serve import loaders
from sightline_serve.chat import Conversation, read
from sightline_serve.engine import Engine
from sightline_serve.errors import ApiError, StartError
from sightline_serve.reading import Prompt
from sightline_serve.schema import parse_chat
from sightline_serve.settings import Settings

from tests.serve.drawing import disc
from tests.serve.tiny_llava import CONTEXT


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Engine:
    return Engine(loaders.load(Settings(tiny, "tiny")))


def conversation(text: str, pictures: int) -> Conversation:
    parts = [{"type": "image_url", "image_url": "data:"}] * pictures + [{"type": "text", "text": text}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return read(parse_chat(json.dumps(body).encode()).messages)


def prompt(engine: Engine, text: str, *pictures: Image.Image) -> Prompt:
    return engine.prepare(conversation(text, len(pictures)), list(pictures))


def greedy(engine: Engine, prompts: list[Prompt], tokens: int) -> list[list[int]]:
    """All prompts side by side, a token each in turn."""
    slots, answers = [], []
    for one in prompts:
        slot, logits = engine.prefill(one)
        slots.append(slot)
        answers.append([int(logits.argmax())])
    for _ in range(tokens - 1):
        rows = engine.decode(slots, [answer[-1] for answer in answers])
        for answer, logits in zip(answers, rows, strict=True):
            answer.append(int(logits.argmax()))
    for slot in slots:
        engine.release(slot)
    return answers


CASES: list[tuple[str, list[Image.Image]]] = [
    ("what colour?", [disc("red")]),
    ("compare these two pictures, please", [disc("red"), disc("blue")]),
    ("no picture at all", []),
]


def test_our_loop_says_what_generate_says(engine: Engine) -> None:
    for text, pictures in CASES:
        one = prompt(engine, text, *pictures)
        model: Any = engine.model
        answer = model.model.generate(
            **one.inputs, max_new_tokens=30, do_sample=False, eos_token_id=-1, pad_token_id=0
        )
        expected = answer[0, one.length :].tolist()
        assert greedy(engine, [one], 30) == [expected]


def test_answers_side_by_side_are_the_answers_alone(engine: Engine) -> None:
    prompts = [prompt(engine, text, *pictures) for text, pictures in CASES]
    assert greedy(engine, prompts, 20) == [greedy(engine, [one], 20)[0] for one in prompts]


def test_the_picture_changes_the_logits(engine: Engine) -> None:
    red, blue = (
        engine.prefill(prompt(engine, "what colour?", disc(colour)))[1] for colour in ("red", "blue")
    )
    assert not torch.allclose(red, blue)


def test_a_prompt_counts_its_picture_tokens(engine: Engine) -> None:
    without, with_two = prompt(engine, "x"), prompt(engine, "x", disc(), disc())
    assert with_two.length == without.length + 2 * 4


def test_too_long_a_prompt_is_refused_with_both_numbers(engine: Engine) -> None:
    for text in ("a" * (CONTEXT + 100), "a" * 5_000_000):
        with pytest.raises(ApiError, match=f"{CONTEXT} tokens") as caught:
            prompt(engine, text)
        assert caught.value.code == "context_length_exceeded"


def test_a_prompt_that_just_fits(engine: Engine) -> None:
    frame = prompt(engine, "").length
    assert prompt(engine, "a" * (CONTEXT - 1 - frame)).length == CONTEXT - 1
    with pytest.raises(ApiError):
        prompt(engine, "a" * (CONTEXT - frame))


def test_max_model_len_only_shortens(tiny: Path, engine: Engine) -> None:
    assert Engine(engine.model, 100).context == 100
    assert Engine(engine.model, 10**6).context == CONTEXT


def test_a_processor_that_loses_the_picture_is_found_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = engine.model.encode
    monkeypatch.setattr(engine.model, "encode", lambda text, _: honest(text.replace("<image>", ""), []))
    with pytest.raises(ApiError) as caught:
        prompt(engine, "what colour?", disc())
    assert caught.value.status == 500


def test_a_strip_is_scaled_down_before_a_processor_could_pad_it_to_a_square(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    model: Any = engine.model
    honest = model.processor

    def watched(*, images: list[Image.Image], **options: Any) -> Any:
        seen.extend(picture.size for picture in images)
        return honest(images=images, **options)

    watched.apply_chat_template = honest.apply_chat_template  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "processor", watched)
    prompt(engine, "x", Image.new("RGB", (70_000, 700)), Image.new("RGB", (4000, 50)))
    assert seen == [(4096, 41), (4000, 50)]


def broken(tiny: Path, to: Path, name: str, content: str | None) -> Settings:
    shutil.copytree(tiny, to)
    (to / name).unlink()
    if content is not None:
        (to / name).write_text(content)
    return Settings(to, "broken")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.safetensors", None, "cannot load the model"),
        ("model.safetensors", "not weights", "cannot load the model"),
        ("tokenizer.json", None, "cannot load the model"),
        ("config.json", "{", "cannot be read"),
        ("config.json", '{"model_type": "bert"}', "serves llava, mllama, .*; this is 'bert'"),
        ("generation_config.json", "[", "cannot be read"),
    ],
)
def test_a_broken_folder_is_one_clear_line(
    tiny: Path, tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    with pytest.raises(StartError, match=says) as caught:
        loaders.load(broken(tiny, tmp_path / "broken", name, content))
    assert "\n" not in str(caught.value)


def test_packed_weights_without_their_library_are_one_clear_line(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((tiny / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    packed = broken(tiny, tmp_path / "packed", "config.json", json.dumps(config))
    monkeypatch.setattr("sightline_serve.loaders.transformers_loader.find_spec", lambda name: None)
    with pytest.raises(
        StartError, match=r"quantised by bitsandbytes, and .* lacks bitsandbytes and accelerate"
    ):
        loaders.load(packed)


def test_the_generation_config_gives_the_defaults(tiny: Path, tmp_path: Path) -> None:
    wanted = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [2, 5]}
    model = loaders.load(broken(tiny, tmp_path / "other", "generation_config.json", json.dumps(wanted)))
    assert (model.defaults.temperature, model.defaults.top_p, model.defaults.top_k) == (0.6, 0.9, 0)
    assert model.eos == {2, 5}


def test_no_gpu_is_said_so(tiny: Path) -> None:
    if torch.cuda.is_available():
        assert "cuda" in loaders.load(Settings(tiny, "tiny", device="cuda")).description
    else:
        with pytest.raises(StartError, match="finds no CUDA GPU"):
            loaders.load(Settings(tiny, "tiny", device="cuda"))
