"""The committed weights answer in the oldest transformers they promise, and as GGUF in a real llama.cpp."""

import base64
import io
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from canary.draw import Canvas, draw
from canary.evaluate import user
from canary.export_gguf import class_last, export_pair, gguf_name, paired

HERE = Path(__file__).parent
QUESTIONS = {
    "shape": ("What colour is the shape? Answer with one word.", "colour"),
    "number": ("What number is written in the picture? Answer with the digits only.", "text"),
}


def environment(variable: str) -> str:
    python = os.environ.get(variable)
    if not python or not Path(python).is_file():
        pytest.fail(
            f"{variable} names no Python ({python!r}): run this by `scripts/test slow`, which builds it"
        )
    return python


def cases() -> list[tuple[str, list[Image.Image], str]]:
    asked: list[tuple[str, list[Image.Image], str]] = []
    for kind, (question, truth) in QUESTIONS.items():
        for seed in range(12):
            picture, scene = draw(np.random.default_rng([77, seed]), kind, Canvas(336, 336, True), length=3)
            asked.append((question, [picture], getattr(scene, truth)))
    (one, _), (two, second) = (
        draw(np.random.default_rng([78, n]), "shape", Canvas(224, 224, True)) for n in (0, 1)
    )
    asked.append(("What shape is in the second picture? Answer with one word.", [one, two], second.shape))
    asked.append(("What is 3 plus 4? Answer with a number.", [], "7"))
    asked.append(("What colour is the shape? Answer with one word.", [], "no image"))
    return asked


def ask(python: str, script: str, model: Path, bodies: list[dict[str, object]], tmp_path: Path) -> list[str]:
    written = tmp_path / "asked.json"
    written.write_text(json.dumps(bodies))
    done = subprocess.run(
        [python, HERE / script, model, written], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("["))
    answers: list[str] = json.JSONDecoder().raw_decode(line)[0]
    return answers


def judge(answers: list[str], asked: list[tuple[str, list[Image.Image], str]]) -> None:
    wrong = [
        (truth, said) for said, (_, _, truth) in zip(answers, asked, strict=True) if said.strip() != truth
    ]
    assert len(wrong) <= 2, wrong


@pytest.mark.slow
def test_the_oldest_transformers_answers(weights: Path, tmp_path: Path) -> None:
    bodies = []
    for number, (question, pictures, _) in enumerate(cases()):
        paths = [tmp_path / f"{number}-{place}.png" for place in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path)
        bodies.append(
            {"messages": [user(question, len(pictures))], "pictures": [str(path) for path in paths]}
        )
    judge(
        ask(environment("SIGHTLINE_TF446_PYTHON"), "ask_transformers.py", weights, bodies, tmp_path), cases()
    )


def chat_bodies(asked: list[tuple[str, list[Image.Image], str]]) -> list[dict[str, object]]:
    bodies: list[dict[str, object]] = []
    for question, pictures, _ in asked:
        parts: list[dict[str, object]] = []
        for picture in pictures:
            kept = io.BytesIO()
            picture.save(kept, "PNG")
            data = "data:image/png;base64," + base64.b64encode(kept.getvalue()).decode()
            parts.append({"type": "image_url", "image_url": {"url": data}})
        bodies.append(
            {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]}
        )
    return bodies


@pytest.mark.slow
def test_a_real_llama_cpp_answers_from_the_gguf_pair(weights: Path, tmp_path: Path) -> None:
    python = environment("SIGHTLINE_LLAMA_PYTHON")
    judge(ask(python, "ask_llama.py", weights / "gguf", chat_bodies(cases()), tmp_path), cases())


def test_the_committed_pair_is_what_the_weights_give(weights: Path, tmp_path: Path) -> None:
    for made in export_pair(weights, tmp_path):
        assert made.read_bytes() == (weights / "gguf" / made.name).read_bytes()


def test_rotary_rows_become_neighbours() -> None:
    rows = np.arange(8)[:, None].repeat(2, 1)
    assert paired(rows, 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert paired(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_patches_come_first_in_the_positions_of_the_pair() -> None:
    assert class_last(np.array([[9], [0], [1], [2]]))[:, 0].tolist() == [0, 1, 2, 9]


def test_an_unknown_weight_is_not_passed_over() -> None:
    assert gguf_name("vision_tower.vision_model.post_layernorm.bias") is None
    with pytest.raises(KeyError, match="surprise"):
        gguf_name("language_model.surprise.weight")


def test_a_missing_environment_fails_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_TF446_PYTHON", "/nowhere/python")
    with pytest.raises(pytest.fail.Exception, match="scripts/test slow"):
        environment("SIGHTLINE_TF446_PYTHON")
