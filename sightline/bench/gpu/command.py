"""The subcommand `gpu`: its words, and its run from a Python that sees a GPU to the table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.bench import subcommand
from sightline.bench.errors import BenchError, NotHere
from sightline.bench.gpu.result import GOAL, Pace, kept, lines
from sightline.bench.running import run
from sightline.bench.serve.subjects import environment
from sightline.bench.subcommand import FOLDER, Measurement, alone, say
from sightline.layout import CHECKOUT

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

SIZED = ("llava-1.5-7b", "phi-3-vision", "llama-3.2-11b-vision")
MODELS = ("canary", *SIZED)
LONGEST = 3600.0
"""Seconds that a model may take to be made, or to be measured."""

_TEACH = f"""\
What it does: drives the engine of sightline-serve without HTTP, at so many requests at once, and the
library's own `generate` with the same prompts, in turn. First it measures the device: bytes read a second,
and multiply-adds of large matrices. The models of real sizes have random weights in bfloat16 and the
canary's tokenizer; they are written to .sightline/bench/gpu (8 to 22 GB each) and removed when measured.

How to read it: decode is tokens said a second, prefill tokens of prompts read a second (its picture too);
bandwidth is the share of the device's rate at which weights and cache were read while decoding; operations
the share of its multiply-adds that the prompt's tokens needed; `/ generate` how often the whole work of the
library's loop was done in its time; alike the share of tokens that both said (rounding decides some).
Budget: with one request at least {GOAL:.0%} of the bandwidth, for the models of real sizes.

It needs a Python whose PyTorch sees a GPU and that has what the server needs: --python names it, such as
the one of a deployment's environment. `--device cpu` measures this processor instead, for a quick look.

examples:
  scripts/bench gpu --python /opt/sightline/env/NAME/bin/python
  scripts/bench gpu --model llava-1.5-7b --batches 1,8 --json > gpu.json
  scripts/bench gpu --device cpu --model canary --rounds 1

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
3 not run: no GPU here, 130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "the engine on a GPU, against the GPU's own limits and plain generate"
    parser = subcommand.parser(commands, "gpu", about, _TEACH)
    parser.add_argument("--model", choices=(*MODELS, "all"), default="all", help="what is run (default: all)")
    parser.add_argument("--python", type=Path, help="its PyTorch sees the GPU (default: python3 on the path)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: cuda")
    parser.add_argument("--batches", type=_batches, default=(1, 8, 32), help="requests at once (1,8,32)")
    parser.add_argument("--tokens", type=_tokens, default=64, help="of an answer (default: 64)")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("gpu", given)
    python = _python(given.python, given.device)
    found = []
    with alone():
        for model in MODELS if given.model == "all" else (given.model,):
            found.append(_measured(model, python, given))
    facts = {"models": [pace.to_dict() for pace in found]}
    return measurement.tell(facts, lines(found), kept(found))


def _python(named: Path | None, device: str) -> Path:
    """The Python to measure in. Raises NotHere without a GPU, BenchError where a named one does not serve."""
    python = named or (Path(path) if (path := shutil.which("python3")) and device == "cuda" else None)
    if python is None:
        return environment("engine") / "bin/python"
    looked = run([str(python), "-c", _LOOK], folder=CHECKOUT, environment=_surroundings(), timeout=300)
    if looked.code or looked.output.split()[-1:] != ["True"]:
        last = (looked.output.strip().splitlines() or ["it said nothing"])[-1]
        if looked.code and named:
            raise BenchError(f"{python} does not have what the server needs: {last}")
        if device == "cuda":
            raise NotHere(f"the PyTorch of {python} sees no GPU ({last}); --python names another Python")
    return python


_LOOK = "import sightline_serve.api, sightline_serve.loaders, torch; print(torch.cuda.is_available())"


def _measured(model: str, python: Path, given: argparse.Namespace) -> Pace:
    canary = CHECKOUT / "canary/weights"
    folder = canary if model == "canary" else FOLDER / "gpu" / model
    try:
        if model != "canary":
            say(f"{model}: drawing its weights")
            if folder.exists():
                shutil.rmtree(folder)
            words = [str(canary), str(folder), model, given.device]
            _ended([str(python), "-m", "canary.random_sized", *words], f"{model} could not be made")
        say(f"{model}: running it")
        return Pace(model, _json(_ended(_words(python, folder, given), f"{model} could not be measured")))
    finally:
        if model != "canary":
            for made in (folder, folder.with_name(folder.name + ".partial")):
                shutil.rmtree(made, ignore_errors=True)  # it may not have been made


def _words(python: Path, folder: Path, given: argparse.Namespace) -> list[str]:
    return [
        str(python), "-m", "canary.pace", str(folder), "--device", given.device,
        "--batches", ",".join(map(str, given.batches)),
        "--tokens", str(given.tokens), "--rounds", str(given.rounds),
    ]  # fmt: skip


def _ended(command: list[str], failed: str) -> str:
    ended = run(command, folder=CHECKOUT, environment=_surroundings(), timeout=LONGEST)
    if ended.code:
        raise BenchError(f"{failed}: {ended.output.strip()[-500:]}")
    return ended.output


def _json(said: str) -> dict[str, object]:
    """The last line: libraries may have warned before it."""
    told: dict[str, object] = json.loads(said.strip().splitlines()[-1])
    return told


def _surroundings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'serve'}"}


def _batches(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(subcommand.whole(word, 256, "requests") for word in text.split(",")))


def _tokens(text: str) -> int:
    tokens = subcommand.whole(text, 1024, "tokens")
    if tokens < 8:
        raise argparse.ArgumentTypeError(f"'{text}' tokens are too few to measure; 8 or more")
    return tokens
