"""scripts/bench gpu: its words, what it makes of a machine without a GPU, the table and the budget."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

from sightline.bench.__main__ import main
from sightline.bench.gpu import command
from sightline.bench.gpu.result import Pace, kept, lines

ROW = {
    "batch": 1, "prompt": 640, "prefill": [9000.0, 9100.0, 8900.0], "decode": [100.0, 90.0, 110.0],
    "whole": [60.0, 54.0, 66.0], "generate": [40.0, 36.0, 44.0], "bandwidth_share": [0.82, 0.81, 0.83],
    "operations_share": [0.4, 0.41, 0.39], "alike": [1.0, 1.0, 0.98],
}  # fmt: skip
TOLD = {
    "device": "NVIDIA H100", "dtype": "bfloat16", "torch": "2.13.0", "parameters": 7_060_000_000,
    "ceilings": {"bandwidth": 2.9e12, "operations": 7.1e14}, "batches": [ROW],
}  # fmt: skip


def pace(**changed: Any) -> Pace:
    """A measured model, its one row changed."""
    told = copy.deepcopy(TOLD)
    told["batches"] = [{**ROW, **changed}]
    return Pace("llava-1.5-7b", told)


def test_the_table_says_what_was_measured() -> None:
    head, row, device = lines([pace()])
    assert head.split()[:3] == ["model", "at", "once"]
    for told in ("llava-1.5-7b", "640", "9,000", "100 (90-110)", "82%", "40%", "1.50 (1.50-1.50)", "100%"):
        assert told in row
    assert "7.06 G parameters, bfloat16, torch 2.13.0 on NVIDIA H100" in device
    assert "2,900 GB/s" in device


def test_a_slow_model_of_real_size_misses_the_budget() -> None:
    slow = pace(bandwidth_share=[0.7, 0.79, 0.9])
    assert kept([pace()])
    assert not kept([pace(), slow])
    assert lines([slow])[-1].startswith("budget MISSED")


@pytest.mark.parametrize("changed", [{"parameters": 1_000_000}, {"device": "cpu"}])
def test_what_has_no_budget_misses_none(changed: dict[str, Any]) -> None:
    assert kept([Pace("canary", pace(bandwidth_share=[0.1]).told | changed)])


def test_many_at_once_have_no_budget() -> None:
    assert kept([pace(batch=8, bandwidth_share=[0.3])])


def test_without_a_gpu_it_is_not_run_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.shutil, "which", lambda name: sys.executable)
    assert main(["gpu"]) == 3
    assert "sees no GPU" in capsys.readouterr().out


def test_a_named_python_without_the_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu", "--python", sys.executable]) == 2
    said = capsys.readouterr().err
    assert sys.executable in said
    assert "No module named" in said


def test_a_python_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["gpu", "--python", str(tmp_path / "python")]) == 2
    assert "cannot be started" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--batches", "1,x"], "'x' is no number of requests"),
        (["--batches", "0"], "'0'"),
        (["--tokens", "4"], "too few"),
        (["--model", "gpt"], "invalid choice"),
    ],
)
def test_wrong_words_are_explained(words: list[str], wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["gpu", *words])
    assert wrong in capsys.readouterr().err
