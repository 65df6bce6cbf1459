"""Files that another model of the host has: linked, where they are surely the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import content, fetch, holds, write_entry
from hub import Hub

SHARED = content(900_000, 8)


def models(tmp_path: Path) -> tuple[Path, Path]:
    """A model that is there already, and the entry of one that shares a file with it."""
    first = {"weights.bin": SHARED, "config.json": b"{}", "none": b""}
    with Hub(first) as hub:
        entry = write_entry(tmp_path, first)
        ended = fetch("--entry", entry, "--source", hub.url, "--target", tmp_path / "models/first")
    assert ended.code == 0, ended.errors
    second = {"folder/model.bin": SHARED, "other.json": b"[]", "none": b""}
    return tmp_path / "models/first/weights.bin", write_entry(tmp_path, second)


def test_a_file_that_another_model_has_is_linked_and_not_fetched(tmp_path: Path) -> None:
    there, entry = models(tmp_path)
    files = {"folder/model.bin": SHARED, "other.json": b"[]", "none": b""}
    target = tmp_path / "models/second"
    with Hub(files) as hub:
        words = (
            "--entry",
            entry,
            "--target",
            target,
            "--source",
            hub.url,
            "--link-from",
            tmp_path / "models",
        )
        ended = fetch(*words)
        assert ended.code == 0, ended.errors
        assert [event["file"] for event in ended.named("linked")] == ["folder/model.bin"]
        assert hub.asked_for("model.bin") == []
        assert hub.sent < 1000
        asked = len(hub.requests)
        assert fetch(*words).code == 0
        assert len(hub.requests) == asked, "the stamp holds for a linked file too"
    assert holds(target, files)
    assert (target / "folder/model.bin").stat().st_ino == there.stat().st_ino


@pytest.mark.parametrize("harm", ["touched", "unstamped", "gone"])
def test_a_file_that_is_not_as_it_was_verified_is_not_linked(tmp_path: Path, harm: str) -> None:
    there, entry = models(tmp_path)
    match harm:
        case "touched":
            there.write_bytes(bytes(len(SHARED)))
        case "unstamped":
            (tmp_path / "models/first/.sightline-fetch/verified.json").unlink()
        case _:
            there.unlink()
    files = {"folder/model.bin": SHARED, "other.json": b"[]", "none": b""}
    target = tmp_path / "models/second"
    with Hub(files) as hub:
        ended = fetch(
            "--entry", entry, "--target", target, "--source", hub.url, "--link-from", tmp_path / "models"
        )
    assert ended.code == 0, ended.errors
    assert ended.named("linked") == []
    assert holds(target, files)
