"""The training loop learns; a loop that does not is told so; bad calls are refused in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from canary.model import Canary
from canary.optimise import Optimiser, cross_entropy
from canary.scene import Scene
from canary.stage_one import Reader, lean_to_text

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "canary.train", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=1500,
    )


@pytest.mark.slow
def test_a_short_training_learns(tmp_path: Path) -> None:
    done = run("--short", "--run", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_training_without_steps_is_seen_not_to_learn(tmp_path: Path) -> None:
    few = ("--pictures", "1600", "--stage-one", "20", "--second-round", "0", "--stage-two", "20")
    done = run("--short", "--run", str(tmp_path), *few)
    assert done.returncode == 1
    assert "not learnt: colour" in done.stderr


def test_bad_calls_say_what_to_do(tmp_path: Path) -> None:
    for arguments, said in (
        (["--evaluate", str(tmp_path)], "holds no model.safetensors"),
        (
            ["--export", str(tmp_path / "out"), "--from", str(tmp_path)],
            "train first or name a folder with --from",
        ),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert "--short" in run("--help").stdout


def test_the_optimiser_lowers_a_loss() -> None:
    torch.manual_seed(0)
    model, reader = Canary(), Reader()
    optimiser = Optimiser([model.tower, model.projector, reader], 12, warmup=1)
    pictures, target = torch.randn(4, 3, 112, 112), torch.tensor([0, 1, 2, 3])
    losses = []
    for _ in range(12):
        loss = cross_entropy(reader(model.see(pictures))[1], target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_nothing_asked_costs_nothing() -> None:
    assert cross_entropy(torch.randn(3, 5), torch.full((3,), -100)).item() == 0.0


def test_the_second_round_takes_text_more_often() -> None:
    scenes = [
        Scene("number", text="1"),
        Scene("word", text="HOUSE"),
        Scene("word", text="QXZ"),
        Scene("shape"),
    ]
    scenes += [Scene("several"), Scene("mixed"), Scene("empty")]
    shares = lean_to_text(scenes)
    assert np.isclose(shares.sum(), 1)
    assert shares[:2].sum() > 0.5
