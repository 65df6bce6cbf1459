"""Faults at random, several at once, and kill -9 at random moments: right bytes, or a clear error."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from fetching import MIB, content, fetch, holds, start, write_entry
from hub import Faults, Hub

FILES = {"model.bin": content(5 * MIB + 4_321, 5), "second.bin": content(700_001, 6), "config.json": b"{}"}
QUICK = ("--timeout", "1", "--patience", "0.5", "--tries", "4")


def misfortune(chance: random.Random) -> Faults:
    """Up to four faults; none that a source never recovers from, except lies and pages."""
    faults = Faults(after=chance.choice([1, 70_000, 300_000, 900_000]))
    for _ in range(chance.randrange(4)):
        match chance.randrange(9):
            case 0:
                faults.resets = chance.randrange(1, 5)
            case 1:
                faults.truncated = chance.randrange(1, 5)
            case 2:
                faults.stalls = 1
            case 3:
                faults.refusals, faults.status = chance.randrange(1, 4), chance.choice([429, 500, 503])
            case 4:
                faults.retry_after = "1"
            case 5:
                faults.no_ranges = True
            case 6:
                faults.no_length = True
            case 7:
                faults.wrong = {chance.choice(["model.bin", "config.json"])}
            case 8:
                faults.page = True
    faults.rate = chance.choice([0.0, 0.0, 4e6])
    return faults


def mixture(seed: int, folder: Path) -> None:
    """One mixture: two sources in trouble, some kills, then runs without a kill until one ends well."""
    chance = random.Random(seed)
    target = folder / "model"
    with Hub(FILES) as first, Hub(FILES, trusted=False) as second:
        entry = write_entry(folder, FILES)
        words = ("--entry", entry, "--source", first.url, "--source", second.url, "--target", target)
        words += (*QUICK, "--token-for", first.url)
        for hub in (first, second):
            hub.faults = misfortune(chance)
        for _ in range(chance.randrange(3)):
            process = start(*words, HF_TOKEN="hf_x")
            time.sleep(chance.uniform(0.2, 1.2))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert all(not (target / p).exists() or holds(target, {p: d}) for p, d in FILES.items())
        ended = fetch(*words, HF_TOKEN="hf_x")
        assert all(not (target / p).exists() or holds(target, {p: d}) for p, d in FILES.items())
        if ended.code == 0:
            assert holds(target, FILES)
        else:
            assert ended.code == 1
            assert "Remedy" in ended.errors
            assert fetch(*words, "--check").code == 1
        first.faults = second.faults = Faults()
        mended = fetch(*words, HF_TOKEN="hf_x")
        assert mended.code == 0, mended.errors
        assert holds(target, FILES)
        assert second.leaks == []


@pytest.mark.parametrize("seed", range(3))
def test_some_mixtures(seed: int, tmp_path: Path) -> None:
    mixture(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 200))
def test_two_hundred_mixtures(seed: int, tmp_path: Path) -> None:
    mixture(seed, tmp_path)
