"""A fetch to its end, and what a later one makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import COMMIT, fetch, holds, model, write_entry
from hub import Hub


def test_every_file_is_there_and_a_second_run_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    entry, target = write_entry(tmp_path, model()), tmp_path / "model"
    ended = fetch("--entry", entry, "--source", hub.url, "--target", target)
    assert ended.code == 0, ended.errors
    assert holds(target, model())
    assert {told["file"] for told in ended.named("file")} == set(model())
    assert list((target / ".sightline-fetch" / "parts").rglob("*.part*")) == []

    asked = len(hub.requests)
    again = fetch("--entry", entry, "--source", hub.url, "--target", target)
    assert again.code == 0
    assert again.named("plan")[0]["to_fetch"] == 0
    assert len(hub.requests) == asked
    assert fetch("--entry", entry, "--target", target, "--check").code == 0


def test_several_connections_share_a_large_file(hub: Hub, tmp_path: Path) -> None:
    hub.faults.rate = 4e6
    fetch("--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", tmp_path / "model")
    ranges = {request.range for request in hub.asked_for("model.bin")}
    assert len(ranges) >= 2, ranges


@pytest.mark.parametrize("way", ["--check", "--verify"])
def test_a_file_changed_behind_the_stamp(hub: Hub, tmp_path: Path, way: str) -> None:
    entry, target = write_entry(tmp_path, model()), tmp_path / "model"
    words = ("--entry", entry, "--source", hub.url, "--target", target)
    assert fetch(*words).code == 0
    spoiled = bytearray(model()["second.bin"])
    spoiled[700_000] ^= 1
    (target / "second.bin").write_bytes(spoiled)

    ended = fetch(*words, way)
    if way == "--check":
        assert ended.code == 1
        assert "second.bin" in ended.errors
        assert (target / "second.bin").read_bytes() == bytes(spoiled)
    else:
        assert ended.code == 0
        assert holds(target, model())
        kept = target / ".sightline-fetch" / "quarantine" / "second.bin"
        assert kept.read_bytes() == bytes(spoiled)


def test_bit_rot_that_leaves_the_time_of_change_is_seen_by_verify(hub: Hub, tmp_path: Path) -> None:
    import os

    entry, target = write_entry(tmp_path, model()), tmp_path / "model"
    words = ("--entry", entry, "--source", hub.url, "--target", target)
    fetch(*words)
    file = target / "model.bin"
    before = file.stat()
    with file.open("r+b") as rotten:
        rotten.seek(5_000_000)
        rotten.write(b"rot")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fetch(*words, "--check").code == 0  # the cheap look cannot see it
    assert fetch(*words, "--check", "--verify").code == 1
    assert fetch(*words, "--verify").code == 0
    assert holds(target, model())


def test_files_that_lie_there_without_a_stamp_are_taken_over(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "model.bin").write_bytes(model()["model.bin"])
    (target / "config.json").write_bytes(b'{"model_type": "other"}')
    ended = fetch("--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", target)
    assert ended.code == 0
    assert holds(target, model())
    assert hub.asked_for("model.bin") == []
    kept = target / ".sightline-fetch" / "quarantine" / "config.json"
    assert kept.read_bytes() == b'{"model_type": "other"}'


def test_without_an_entry_the_listing_is_trusted_and_the_plan_says_so(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model"
    words = ("--repo", "owner/model", "--revision", COMMIT, "--source", hub.url, "--target", target)
    ended = fetch(*words)
    assert ended.code == 0, ended.errors
    assert holds(target, model())
    assert hub.url in str(ended.named("plan")[0]["hashes_from"])
    hub.faults.wrong = {"config.json"}  # git's own name of the file tells
    (target / "config.json").unlink()
    assert fetch(*words).code == 1


@pytest.mark.parametrize("kind", ["hub", "mirror", "modelscope", "http", "dir"])
def test_every_kind_of_source(hub: Hub, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "there"
    for path, data in model().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    place = {"dir": str(folder), "http": f"{hub.url}/plain"}.get(kind, hub.url)
    entry = write_entry(tmp_path, model())
    ended = fetch("--entry", entry, "--source", f"{kind}={place}", "--target", tmp_path / "model")
    assert ended.code == 0, ended.errors
    assert holds(tmp_path / "model", model())


def test_only_some_files(hub: Hub, tmp_path: Path) -> None:
    entry, target = write_entry(tmp_path, model()), tmp_path / "model"
    assert fetch("--entry", entry, "--source", hub.url, "--target", target, "--only", "*.json").code == 0
    assert (target / "config.json").is_file()
    assert not (target / "model.bin").exists()
