"""How much the key/value cache may take: arithmetic by hand on machines made of files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sightline_serve import memory
from sightline_serve.memory import KVBudget
from sightline_serve.settings import MIB, Settings

GIB = 2**30


def machine(folder: Path, available_kib: int, **cgroup: str) -> tuple[Path, Path]:
    (folder / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {available_kib} kB\n")
    for name, content in cgroup.items():
        (folder / name.replace("_", ".")).write_text(content + "\n")
    return folder / "meminfo", folder


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ({}, 4 * GIB),
        ({"memory_max": "max", "memory_current": "5"}, 4 * GIB),
        ({"memory_max": str(3 * GIB), "memory_current": str(GIB)}, GIB),
        ({"memory_max": str(GIB), "memory_current": str(2 * GIB)}, 0),
        ({"memory_max": str(64 * GIB), "memory_current": "0"}, 4 * GIB),
    ],
)
def test_half_of_what_is_free_here_or_in_the_container(
    tmp_path: Path, cgroup: dict[str, str], expected: int
) -> None:
    assert memory.cpu_bytes(*machine(tmp_path, 8 * 2**20, **cgroup)) == expected


def test_on_a_gpu_the_share_counts_what_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 GiB 15 % stay free; 50 are taken by now: 80 x 0.85 - 50 = 18."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30 * GIB, 80 * GIB))
    assert memory.cuda_bytes(0.85) == pytest.approx(18 * GIB, abs=1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (5 * GIB, 80 * GIB))
    assert memory.cuda_bytes(0.85) == 0


def test_what_the_operator_says_counts(tmp_path: Path) -> None:
    assert memory.kv_bytes(Settings(tmp_path, "m", kv_cache_bytes=123)) == 123


@pytest.mark.parametrize(
    ("given", "weights", "kept"),
    [
        ({}, 0, 8 * MIB),
        ({}, 100 * MIB, 100 * MIB),
        ({}, 9 * GIB, 128 * MIB),  # an eighth of what is there
        ({"prefix_cache_bytes": 5}, 100 * MIB, 5),
        ({"prefix_cache_bytes": 0}, 100 * MIB, 0),
    ],
)
def test_what_is_kept_of_finished_requests_weighs_no_more_than_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, int], weights: int, kept: int
) -> None:
    monkeypatch.setattr(memory, "kv_bytes", lambda _: GIB)
    assert memory.shares(Settings(tmp_path, "m", **given), weights) == (GIB - kept, kept)  # type: ignore[arg-type]


def test_what_the_operator_gives_is_for_running_requests(tmp_path: Path) -> None:
    given = Settings(tmp_path, "m", kv_cache_bytes=MIB)
    assert memory.shares(given, 9 * GIB) == (MIB, 256 * MIB)


def test_rows_are_as_long_as_the_longest_in_blocks_and_a_layer_is_there_twice_while_they_grow() -> None:
    budget = KVBudget(4 * 512, layers=4)
    assert budget.fits([300, 10, 10])  # three rows of 512, and a quarter of them: 1920
    assert not budget.fits([300, 10, 10, 10])  # 2560
    assert budget.fits([513, 10])  # 2 x 768 and a quarter: 1920
    assert not budget.fits([769, 10])
    assert budget.longest() == 1536  # 2048 / 1.25 = 1638, in whole blocks
    assert budget.fits([budget.longest()])
    assert not budget.fits([budget.longest() + 1])
    assert KVBudget(2 * 256 - 1).longest() == 0
