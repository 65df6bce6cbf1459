"""Trains the canary from nothing: draws a pool, stage one, stage two, exports. `scripts/train-canary`
calls this."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from tokenizers import Tokenizer

from canary.conversation import Chooser, several, single, without
from canary.export_hf import export_hf
from canary.model import Canary
from canary.pool import Pool, draw_pool
from canary.stage_one import HELD_OUT, Reader, train_stage_one
from canary.stage_two import accuracy, train_stage_two
from canary.tokenizer import train_tokenizer
from canary.workers import in_processes

FULL_MINUTES = 100
"""About what the full schedule takes on two cores; `--minutes` scales the steps against it."""


@dataclass(frozen=True)
class Schedule:
    """How much is drawn and how long is trained: steps, and for each process pictures a step in stage one and
    sequences in stage two."""

    pictures: int = 110_000
    stage_one: int = 7_000
    stage_two: int = 2_000
    batch: int = 64
    sequences: int = 60
    processes: int = 2


SHORT = Schedule(
    pictures=4_000,
    stage_one=260,
    stage_two=240,
    batch=32,
    sequences=24,
    processes=2,
)
"""For CI: shows in a few minutes that the loop learns; it learns colours and little else."""


def make_tokenizer(pool: Pool, seed: int) -> Tokenizer:
    """The tokenizer, trained on questions and answers about the pool."""
    rng = np.random.default_rng([seed, 3])
    chooser = Chooser(pool.scenes, range(len(pool.scenes) - HELD_OUT))
    lines = []
    for _ in range(2000):
        for make in (single, several, without):
            for turn in make(rng, chooser):
                lines += [turn.asked.question, turn.asked.answer]
    return train_tokenizer(lines)


def _train(folder: Path, schedule: Schedule, seed: int, resume: bool) -> None:
    """What each process does."""
    first = dist.get_rank() == 0
    pool = Pool(folder / "pool")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    model, reader = Canary(), Reader()
    began, done = time.process_time(), folder / "stage-one.pt"
    if resume and done.is_file():
        stored = torch.load(done, weights_only=True)
        model.load_state_dict(stored["model"])
        reader.load_state_dict(stored["reader"])
    else:
        losses = train_stage_one(model, reader, pool, schedule.stage_one, schedule.batch, seed)
        if first:
            np.save(folder / "losses-stage-one.npy", losses)
            torch.save({"model": model.state_dict(), "reader": reader.state_dict()}, done)
            spent = (time.process_time() - began) / 60
            print(f"stage 1 done: {spent:.1f} CPU minutes in this process", flush=True)

    def keep() -> None:
        export_hf(model, tokenizer, folder / "model")

    losses = train_stage_two(
        model, reader, tokenizer, pool, schedule.stage_two, schedule.sequences, seed, keep
    )
    if first:
        np.save(folder / "losses-stage-two.npy", losses)
        keep()
        print(f"trained: {(time.process_time() - began) / 60:.1f} CPU minutes in this process", flush=True)


def train(folder: Path, schedule: Schedule, seed: int, resume: bool = False) -> None:
    """Draw, train and export into `folder` (pool/, tokenizer.json, stage-one.pt, model/).

    With `resume` a finished pool and stage one found there are used. Raises OSError where the folder cannot
    be written or holds too little room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (resume and (folder / "pool" / "scenes.json").is_file()):
        needed, free = schedule.pictures * 112 * 112 * 3, shutil.disk_usage(folder).free
        if free < 1.2 * needed:
            raise OSError(
                f"{folder} has {free / 1e9:.1f} GB free and the pool takes {needed / 1e9:.1f} GB; "
                "choose another folder with --run"
            )
        draw_pool(folder / "pool", schedule.pictures, 20261120 + seed, schedule.processes)
    # Weights are worth nothing with another tokenizer than they were trained with, so it is kept too.
    if not (resume and (folder / "tokenizer.json").is_file()):
        make_tokenizer(Pool(folder / "pool"), seed).save(str(folder / "tokenizer.json"))
    in_processes(_train, schedule.processes, folder, schedule, seed, resume)


def learnt(folder: Path) -> list[str]:
    """What a short training should have shown and did not: empty where both losses fell and colours are told
    far above chance (one in eleven). Reads what `train` left in `folder`."""
    from safetensors.torch import load_file

    from canary.export_hf import load_hub_state

    faults = []
    for stage, name in (("one", "losses-stage-one.npy"), ("two", "losses-stage-two.npy")):
        losses = np.load(folder / name)
        start, end = float(losses[:2].mean()), float(losses[-2:].mean())
        print(f"stage {stage}: loss from {start:.2f} to {end:.2f}")
        if not end < 0.85 * start:
            faults.append(f"stage {stage}: the loss went from {start:.2f} to {end:.2f}, less than 15% down")
    model = Canary()
    load_hub_state(model, load_file(folder / "model" / "model.safetensors"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    colour = accuracy(model, tokenizer, Pool(folder / "pool"), 400).get("colour", 0.0)
    print(f"colour on held-out pictures: {colour}% (chance: 9%)")
    if colour < 20.0:
        faults.append(f"colour: {colour}% right on held-out pictures, not far above chance (9%)")
    return faults


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/train-canary",
        description="Draws pictures, trains the canary on them from nothing, and exports it.",
        epilog="examples:  scripts/train-canary            (about 100 minutes on two cores)\n"
        "           scripts/train-canary --short    (a few minutes: does the loop learn?)\n"
        "           scripts/train-canary --evaluate canary/weights\n"
        "           scripts/train-canary --export canary/weights --from .sightline/canary/model",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=Path(".sightline/canary"),
        metavar="FOLDER",
        help="where pool, checkpoints and the model go (default: %(default)s; 4.2 GB)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of drawing and training (default: 1)")
    parser.add_argument(
        "--minutes", type=float, help=f"scale the schedule of about {FULL_MINUTES} minutes to this"
    )
    parser.add_argument(
        "--short", action="store_true", help="the CI version: fails unless the loop has learnt"
    )
    parser.add_argument(
        "--resume", action="store_true", help="use the pool and stage one already in the folder"
    )
    parser.add_argument("--pictures", type=int, help="pictures in the pool")
    parser.add_argument("--stage-one", type=int, metavar="STEPS", help="steps of stage one")
    parser.add_argument("--stage-two", type=int, metavar="STEPS", help="steps of stage two")
    parser.add_argument(
        "--evaluate",
        type=Path,
        metavar="MODEL",
        help="train nothing; put questions about fresh pictures to a model folder",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FOLDER",
        help="train nothing; copy the model of --from there and write its GGUF pair",
    )
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="MODEL", help="the model folder to export"
    )
    parser.add_argument(
        "--questions", type=int, default=500, help="with --evaluate: how many a task (default: 500)"
    )
    parser.add_argument("--json", action="store_true", help="with --evaluate: the table as JSON")
    options = parser.parse_args(arguments)
    try:
        if options.evaluate:
            from canary.evaluate import report

            return report(options.evaluate, options.questions, options.seed, options.json)
        if options.export:
            from canary.export_gguf import export_pair

            source = options.source or options.run / "model"
            if not (source / "model.safetensors").is_file():
                raise FileNotFoundError(
                    f"{source} holds no model.safetensors; train first or name a folder with --from"
                )
            if source.resolve() != options.export.resolve():
                shutil.copytree(source, options.export, dirs_exist_ok=True)
            export_pair(options.export, options.export / "gguf")
            print(f"exported to {options.export}")
            return 0
        schedule = SHORT if options.short else Schedule()
        if options.minutes:
            share = options.minutes / FULL_MINUTES
            schedule = replace(
                schedule,
                stage_one=int(schedule.stage_one * share),
                stage_two=int(schedule.stage_two * share),
            )
        given = {
            "pictures": options.pictures,
            "stage_one": options.stage_one,
            "stage_two": options.stage_two,
        }
        schedule = replace(schedule, **{name: value for name, value in given.items() if value is not None})
        began = time.monotonic()
        train(options.run, schedule, options.seed, options.resume)
        print(f"done in {(time.monotonic() - began) / 60:.1f} minutes; the model lies in {options.run}/model")
        if options.short:
            faults = learnt(options.run)
            for fault in faults:
                print(f"not learnt: {fault}", file=sys.stderr)
            return 1 if faults else 0
    except (OSError, ValueError) as error:
        print(f"train-canary: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
