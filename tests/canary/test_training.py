"""The training loop learns; a loop that does not is told so; bad calls are refused in one line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from canary.conversation import Turn
from canary.encoding import Encoded, Encoder
from canary.grammar import Asked
from canary.model import Canary
from canary.optimise import Optimiser, cross_entropy
from canary.sheets import Sheet
from canary.stage_one import Reader
from canary.tokenizer import IMAGE, token_id

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
@pytest.mark.long
def test_a_short_training_learns(tmp_path: Path) -> None:
    done = run("--short", "--run", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_training_without_steps_is_seen_not_to_learn(tmp_path: Path) -> None:
    few = ("--pictures", "1600", "--stage-one", "20", "--stage-two", "20")
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


def test_a_question_on_a_sheet_is_read_as_if_it_stood_alone() -> None:
    class Plain:
        """Chance that never adds a system prompt or leaves a newline out."""

        def random(self) -> float:
            return 0.5

    torch.manual_seed(0)
    model, tokenizer = Canary().eval(), Tokenizer.from_file(str(CHECKOUT / "canary/weights/tokenizer.json"))
    encoder, image = Encoder(tokenizer), token_id(tokenizer, IMAGE)
    asked = [Asked("colour", f"What colour is the {name}?", "red") for name in ("circle", "star", "shape")]
    seen = torch.randn(1, 64, 128)

    def states(made: Encoded) -> torch.Tensor:
        columns = (torch.tensor([column]) for column in (made.positions, made.branches))
        return model.read(torch.tensor([made.ids]), seen, image, *columns)[0]

    chance: Any = Plain()
    sheet = encoder.sheet(chance, Sheet([0], asked))
    together = states(sheet)
    for branch, question in enumerate(asked, 1):
        alone = encoder.conversation(chance, [Turn(question, [0])])
        here = [place for place, number in enumerate(sheet.branches) if number in (0, branch)]
        # The conversation ends with a newline that a sheet leaves out.
        assert [sheet.ids[place] for place in here] == alone.ids[:-1]
        torch.testing.assert_close(together[here], states(alone)[:-1], atol=1e-5, rtol=1e-4)


def test_a_batch_predicts_only_answers() -> None:
    tokenizer = Tokenizer.from_file(str(CHECKOUT / "canary/weights/tokenizer.json"))
    rng = np.random.default_rng(5)
    made = Encoder(tokenizer).sheet(rng, Sheet([], [Asked("sum", "What is 3 plus 4?", "7")] * 2))
    counted = [number for number, weight in zip(made.ids, made.weights, strict=True) if weight]
    assert tokenizer.decode(counted, skip_special_tokens=True) == "77"
