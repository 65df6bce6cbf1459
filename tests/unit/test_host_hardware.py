"""What a machine is, read from trees of files as different systems show them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sightline_host.hardware import (
    cpu_count,
    read_distribution,
    read_hardware,
    read_memory,
)

GIB = 2**30


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_distribution(tmp_path: Path) -> None:
    text = 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nVERSION_ID="22.04"\nID=ubuntu\n# a comment\n\nID_LIKE=debian\n'
    put(tmp_path, {"etc/os-release": text})

    assert read_distribution(tmp_path) == {"id": "ubuntu", "version": "22.04", "name": "Ubuntu 22.04.5 LTS"}
    assert read_distribution(tmp_path / "nowhere") == {"id": None, "version": None, "name": None}


MEMINFO = (
    "MemTotal:       65536000 kB\nMemFree:         1000 kB\nMemAvailable:   32768000 kB\nBuffers: 1 kB\n"
)
TOTAL, AVAILABLE = 65536000 * 1024, 32768000 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "total", "available"),
    [
        (None, None, TOTAL, AVAILABLE),
        ("max\n", "5\n", TOTAL, AVAILABLE),
        (f"{8 * GIB}\n", f"{3 * GIB}\n", 8 * GIB, 5 * GIB),
        (f"{8 * GIB}\n", f"{9 * GIB}\n", 8 * GIB, 0),
        (f"{60 * GIB}\n", f"{GIB}\n", 60 * GIB, AVAILABLE),
        ("9223372036854771712\n", f"{3 * GIB}\n", TOTAL, AVAILABLE),
        (f"{8 * GIB}\n", "", 8 * GIB, AVAILABLE),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_memory_is_the_smaller_of_machine_and_control_group(
    tmp_path: Path, version: int, limit: str | None, used: str | None, total: int, available: int
) -> None:
    put(tmp_path, {"proc/meminfo": MEMINFO})
    if limit is not None and used is not None:
        names = {
            1: ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
            2: ("memory.max", "memory.current"),
        }[version]
        put(tmp_path / "sys/fs/cgroup", dict(zip(names, (limit, used), strict=True)))

    assert read_memory(tmp_path) == {"total_bytes": total, "available_bytes": available}


def test_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_memory(tmp_path) == {"total_bytes": None, "available_bytes": None}


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "0\n"}, 16),
    ],
)
def test_processors_are_those_that_the_control_group_grants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    put(tmp_path / "sys/fs/cgroup", files)

    assert cpu_count(tmp_path) == count


def test_systemd_is_what_runs_and_not_what_is_installed(tmp_path: Path) -> None:
    put(tmp_path, {"usr/lib/systemd/systemd": "", "usr/bin/systemctl": "", "lib/systemd/systemd": ""})
    assert read_hardware(str(tmp_path))["init"] == "supervised"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert read_hardware(str(tmp_path))["init"] == "systemd"


def test_this_machine_has_every_fact() -> None:
    facts = read_hardware()

    assert facts["arch"] == os.uname().machine
    assert facts["kernel"] == os.uname().release
    memory = facts["memory"]
    assert isinstance(memory, dict)
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]
    cpu = facts["cpu"]
    assert isinstance(cpu, dict)
    assert 1 <= cpu["count"] <= (os.cpu_count() or 1)
    assert "/" in [disk["path"] for disk in facts["disks"]]  # type: ignore[attr-defined]
    clock = facts["clock"]
    assert isinstance(clock, dict)
    assert abs(clock["epoch"] - time.time()) < 60
