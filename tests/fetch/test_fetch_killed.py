"""kill -9 of the real process: what lies on disk is kept, and what is wrong on disk is noticed."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest
from fetching import MIB, content, fetch, holds, start, write_entry
from hub import Hub, wait_until

FILES = {"model.bin": content(24 * MIB + 777, 3)}
MOST_LOST = 8 * MIB
"""Bytes of progress that a kill may cost for each file: the project's promise."""


@pytest.fixture
def slow_hub() -> Hub:
    hub = Hub(FILES)
    hub.faults.rate = 3e6
    return hub


def killed_after(process: subprocess.Popen[str], hub: Hub, sent: int) -> None:
    """Kill it once the hub has sent so many bytes."""
    assert wait_until(lambda: hub.sent >= sent or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_it_goes_on_from_what_is_on_disk(slow_hub: Hub, tmp_path: Path) -> None:
    with slow_hub as hub:
        target = tmp_path / "model"
        words = ("--entry", write_entry(tmp_path, FILES), "--source", hub.url, "--target", target)
        killed_after(start(*words), hub, 16 * MIB)
        assert not (target / "model.bin").exists()
        before, hub.sent, hub.faults.rate = hub.sent, 0, 0.0
        ended = fetch(*words)
        assert ended.code == 0, ended.errors
        assert holds(target, FILES)
        kept = int(str(ended.named("resumed")[0]["bytes"]))
        assert kept >= before - MOST_LOST
        assert hub.sent <= len(FILES["model.bin"]) - kept + 4 * MIB  # and it was not fetched again


def test_killed_again_and_again(slow_hub: Hub, tmp_path: Path) -> None:
    with slow_hub as hub:
        hub.faults.rate = 8e6
        hub.faults.resets, hub.faults.after = 6, 900_000
        target = tmp_path / "model"
        words = ("--entry", write_entry(tmp_path, FILES), "--source", hub.url, "--target", target)
        chance = random.Random(7)
        for _ in range(4):
            hub.sent = 0
            killed_after(start(*words), hub, chance.randrange(1, 4 * MIB))
            assert not (target / "model.bin").exists()
        ended = fetch(*words)
        assert ended.code == 0, ended.errors
        assert holds(target, FILES)


@pytest.mark.parametrize("spoiled", ["a piece", "the journal's end", "all of the journal", "the part's end"])
def test_what_a_power_cut_may_leave(slow_hub: Hub, tmp_path: Path, spoiled: str) -> None:
    with slow_hub as hub:
        target = tmp_path / "model"
        words = ("--entry", write_entry(tmp_path, FILES), "--source", hub.url, "--target", target)
        killed_after(start(*words), hub, 12 * MIB)
        part = target / ".sightline-fetch" / "parts" / "model.bin.part"
        journal = part.with_name("model.bin.part.journal")
        lines = journal.read_text().splitlines()
        noted = [int(line.split()[0]) for line in lines[1:]]
        piece = next(number for number in noted if number < 48)  # the last one, 48, is 777 bytes
        if spoiled == "a piece":  # noted, but its bytes never reached the disk
            with part.open("r+b") as file:
                file.seek(piece * (MIB // 2) + 1000)
                file.write(bytes(4096))
        elif spoiled == "the journal's end":
            journal.write_text("\n".join(lines)[:-5])
        elif spoiled == "all of the journal":
            journal.write_bytes(b"\0\xff" * 200)
        else:
            with part.open("r+b") as file:
                file.truncate(piece * (MIB // 2) + 1000)
        hub.faults.rate = 0.0
        ended = fetch(*words)
        assert ended.code == 0, ended.errors
        assert holds(target, FILES)
        assert ended.named("quarantined") == []  # it was noticed before the file was put together
        if spoiled == "a piece":
            kept = int(str(ended.named("resumed")[0]["bytes"]))
            noted.remove(piece)
            assert kept == sum(777 if number == 48 else MIB // 2 for number in noted)


def test_another_entry_for_the_same_name_begins_anew(slow_hub: Hub, tmp_path: Path) -> None:
    with slow_hub as hub:
        target = tmp_path / "model"
        source = ("--source", hub.url, "--target", target)
        killed_after(start("--entry", write_entry(tmp_path, FILES), *source), hub, 10 * MIB)
        newer = {"model.bin": content(24 * MIB + 777, 4)}
        hub.files, hub.faults.rate = newer, 0.0
        ended = fetch("--entry", write_entry(tmp_path, newer), *source)
        assert ended.code == 0, ended.errors
        assert ended.named("resumed") == []
        assert holds(target, newer)


def test_two_at_once_in_one_folder(slow_hub: Hub, tmp_path: Path) -> None:
    with slow_hub as hub:
        words = ("--entry", write_entry(tmp_path, FILES), "--source", hub.url, "--target", tmp_path / "model")
        first = start(*words)
        assert wait_until(lambda: hub.sent > 0)
        second = fetch(*words)
        assert second.code == 1
        assert "another fetch is at work" in second.errors
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=30)
        assert first.returncode == 130
        assert "goes on from what is there" in errors
