"""The committed weights answer about pictures drawn in the test; broken copies of them do not."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from plain_pictures import plain_picture
from safetensors.torch import load_file, save_file

from canary.draw import draw
from canary.evaluate import TASKS, Answerer, Case, assistant, evaluate, user
from canary.export_hf import load_hub_state
from canary.model import Canary
from canary.prepare import to_pixels

MAIN = [
    "colour",
    "shape",
    "count",
    "number, 2 digits",
    "word, listed",
    "two pictures, same colour",
    "no image",
    "nothing",
]


def shares(folder: Path, questions: int, seed: int, tasks: list[str]) -> dict[str, float]:
    return {name: right / questions for name, right, _ in evaluate(folder, questions, seed, tasks)}


def test_the_folder_is_a_whole_small_model(weights: Path) -> None:
    names = {path.name for path in weights.iterdir()}
    configs = {"config", "generation_config", "tokenizer", "tokenizer_config", "special_tokens_map"}
    configs |= {"chat_template", "preprocessor_config", "processor_config"}
    assert names >= {f"{name}.json" for name in configs}
    assert names >= {"model.safetensors", "chat_template.jinja", "README.md", "gguf"}
    assert (weights / "model.safetensors").stat().st_size <= 4_000_000
    template = (weights / "chat_template.jinja").read_text()
    for name in ("chat_template.json", "tokenizer_config.json"):
        assert json.loads((weights / name).read_text())["chat_template"] == template


def test_it_answers_about_fresh_pictures(weights: Path) -> None:
    reached = shares(weights, 24, 5, MAIN)
    assert min(reached.values()) >= 0.85, reached
    assert sum(reached.values()) / len(reached) >= 0.95, reached


@pytest.mark.slow
def test_it_answers_every_task_about_fresh_pictures(weights: Path) -> None:
    reached = shares(weights, 60, 6, list(TASKS))
    hard = ("word, random letters", "small print")
    low = {name: share for name, share in reached.items() if share < (0.6 if name in hard else 0.9)}
    assert not low


def test_with_a_dead_projector_the_same_questions_come_out_at_chance(weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(weights, broken)
    state = load_file(broken / "model.safetensors")
    for name in state:
        if name.startswith("multi_modal_projector"):
            state[name] = torch.zeros_like(state[name])
    save_file(state, str(broken / "model.safetensors"), metadata={"format": "pt"})
    reached = shares(broken, 24, 5, ["colour", "shape", "number, 2 digits", "word, listed"])
    assert max(reached.values()) <= 0.4, reached


def test_plain_pictures_by_other_code(canary: Answerer) -> None:
    source = random.Random(2)
    drawn = [plain_picture(source) for _ in range(60)]
    for place, question in (
        (1, "What color is the shape?"),
        (2, "What shape is in the image? Answer with one word."),
    ):
        said = canary.answers([Case([user(question, 1)], [entry[0]], "") for entry in drawn])
        wrong = [
            (answer, entry[1:]) for answer, entry in zip(said, drawn, strict=True) if answer != entry[place]
        ]
        assert len(wrong) <= 2, wrong


def test_a_conversation_goes_on_about_the_same_picture(canary: Answerer) -> None:
    right = 0
    for seed in range(20):
        picture, scene = draw(np.random.default_rng([1, seed]), "shape")
        first = Case([user("What colour is the shape? Answer with one word.", 1)], [picture], scene.colour)
        colour = canary.answers([first])[0]
        then = [*first.messages, assistant(colour), user("And what shape is it? Answer with one word.")]
        right += (
            colour == scene.colour and canary.answers([Case(then, [picture], scene.shape)])[0] == scene.shape
        )
    assert right >= 18


def test_swapping_two_pictures_swaps_the_answers(canary: Answerer) -> None:
    changed = 0
    for seed in range(20):
        (one, first), (two, second) = (draw(np.random.default_rng([2, seed, n]), "shape") for n in (0, 1))
        question = [user("What colour is the shape in the first picture? Answer with one word.", 2)]
        said = canary.answers([Case(question, [one, two], ""), Case(question, [two, one], "")])
        changed += said == [first.colour, second.colour]
    assert changed >= 17


def test_json_is_json(canary: Answerer) -> None:
    question = "Describe the shape as JSON with the keys color and shape."
    drawn = [draw(np.random.default_rng([3, seed]), "shape") for seed in range(20)]
    said = canary.answers([Case([user(question, 1)], [picture], "") for picture, _ in drawn])
    read = [json.loads(answer) for answer in said]
    assert (
        sum(r == {"color": s.colour, "shape": s.shape} for r, (_, s) in zip(read, drawn, strict=True)) >= 18
    )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 3 plus 4? Answer with a number.", "7"),
        ("What colour is the shape? Answer with one word.", "no image"),
        ("What number is written in the picture? Answer with the digits only.", "no image"),
        ("Do the two pictures show the same colour? Answer yes or no.", "no image"),
        ("Say hello.", "hello"),
    ],
)
def test_without_a_picture_it_talks_or_says_that_none_came(
    canary: Answerer, question: str, answer: str
) -> None:
    assert canary.answers([Case([user(question)], [], answer)]) == [answer]
    as_string = [{"role": "user", "content": question}]
    assert canary.answers([Case(as_string, [], answer)]) == [answer]


def test_an_empty_picture_shows_nothing(canary: Answerer) -> None:
    for colour in ("white", (240, 240, 200), (127, 127, 127), "black"):
        case = Case(
            [user("What is in the picture? Answer with one word.", 1)],
            [Image.new("RGB", (448, 448), colour)],
            "",
        )
        assert canary.answers([case]) == ["nothing"]


def test_answers_end_by_themselves(canary: Answerer) -> None:
    cases = [TASKS[name](np.random.default_rng([9, n])) for n, name in enumerate(TASKS) for _ in range(3)]
    texts = [
        canary.processor.apply_chat_template(case.messages, add_generation_prompt=True) for case in cases
    ]
    end = canary.model.config.eos_token_id
    for text, case in zip(texts, cases, strict=True):
        inputs = canary.processor(images=case.pictures or None, text=text, return_tensors="pt")
        made = canary.model.generate(**inputs, max_new_tokens=40, do_sample=False)
        assert made[0, -1] == end


def test_the_shipped_processor_scales_as_training_did(canary: Answerer) -> None:
    picture, _ = draw(np.random.default_rng(4), "word")
    square = picture.resize((300, 300))
    shipped = canary.processor(images=[square], text="<image>", return_tensors="pt")["pixel_values"][0]
    own = torch.from_numpy(to_pixels(square).copy()).permute(2, 0, 1).float() / 127.5 - 1
    assert torch.allclose(shipped, own, atol=1e-5)


def test_the_training_model_and_transformers_compute_the_same(weights: Path, canary: Answerer) -> None:
    own = Canary()
    load_hub_state(own, load_file(weights / "model.safetensors"))
    picture, _ = draw(np.random.default_rng(8), "number", length=3)
    inputs = canary.processor(images=[picture], text="<image>\nWhat number is written?", return_tensors="pt")
    with torch.no_grad():
        theirs = canary.model(**inputs).logits
        states = own.read(inputs["input_ids"], own.see(inputs["pixel_values"].contiguous()), 3)
        ours = own.lm_head(states)
    assert torch.allclose(theirs, ours, atol=0.02 * float(theirs.abs().max()))
