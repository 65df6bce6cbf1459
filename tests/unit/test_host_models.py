"""The models on a host: what counts as whole, what of one came so far, and which may be taken away."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from sightline_fetch.part import PIECE, Part
from sightline_fetch.target import Target
from sightline_fetch.wanted import Wanted, WantedFile
from sightline_host.models import (
    ModelProblem,
    folders_of,
    read_models,
    remove_models,
    served_model,
    stamped_fingerprint,
)

from sightline.catalogue import files_fingerprint


def wanted(files: dict[str, bytes]) -> Wanted:
    listed = tuple(
        WantedFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
    )
    return Wanted("owner/model", "c" * 40, listed, "the catalogue")


def verified(folder: Path, files: dict[str, bytes]) -> str:
    """A folder as sightline-fetch leaves it; returns the fingerprint of what was wanted."""
    target = Target(folder)
    for path, data in files.items():
        (folder / path).write_bytes(data)
    target.stamp(wanted(files))
    target.close()
    return wanted(files).fingerprint


FILES = {"config.json": b"{}", "model.bin": b"x" * 5000}


def test_a_stamped_folder_has_the_catalogues_fingerprint(tmp_path: Path) -> None:
    verified(tmp_path, FILES)
    entry = {
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in FILES.items()
        ]
    }
    assert stamped_fingerprint(tmp_path) == files_fingerprint(entry)


@pytest.mark.parametrize("harm", ["changed", "gone", "touched", "stamp", "empty", "no stamp"])
def test_a_folder_that_is_not_as_it_was_verified_is_not_whole(tmp_path: Path, harm: str) -> None:
    verified(tmp_path, FILES)
    stamp = tmp_path / ".sightline-fetch/verified.json"
    match harm:
        case "changed":
            (tmp_path / "config.json").write_text("[1]")
        case "gone":
            (tmp_path / "config.json").unlink()
        case "touched":
            os.utime(tmp_path / "config.json")
        case "stamp":
            stamp.write_text("[")
        case "empty":
            stamp.write_text(json.dumps({"fingerprint": "f", "files": {}}))
        case _:
            stamp.unlink()
    assert stamped_fingerprint(tmp_path) is None


def test_what_came_of_a_model_is_told(tmp_path: Path) -> None:
    """A small file in place, and two pieces of a large one, which is allocated whole."""
    folder = tmp_path / "models/big-0123456789ab"
    target = Target(folder)
    (folder / "config.json").write_bytes(b"{}")
    data = bytes(4 * PIECE)
    part = Part(wanted({"big.bin": data}).files[0], folder / ".sightline-fetch/parts/big.bin.part")
    for piece in (0, 2):
        part.write(piece * PIECE, data[:PIECE])
        part.piece_is_there(piece, 0, "a source")
    part.release()
    target.close()
    found = read_models(tmp_path / "models")[str(folder)]
    assert found["fingerprint"] is None
    assert found["there_bytes"] == 2 + 2 * PIECE
    assert isinstance(found["disk_bytes"], int)
    assert found["disk_bytes"] >= 4 * PIECE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two models that share a file, one that is served, and one whose name begins like another's."""
    for name in ("one-000000000001", "two-000000000002", "served-000000000003", "one-more-000000000004"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "own").write_bytes(b"x" * 10_000)
    shared = tmp_path / "models/one-000000000001/shared"
    shared.write_bytes(b"x" * 1_000_000)
    os.link(shared, tmp_path / "models/two-000000000002/shared")
    os.link(shared, tmp_path / "models/two-000000000002/again")
    release = tmp_path / "releases/r"
    release.mkdir(parents=True)
    (release / "release.json").write_text(json.dumps({"model": str(tmp_path / "models/served-000000000003")}))
    (tmp_path / "current").symlink_to(release)
    return tmp_path


def test_a_model_goes_and_what_is_told_is_what_the_disk_gets_back(root: Path) -> None:
    (gone,) = remove_models(root, ["one"], kept=[])
    assert gone.path == str(root / "models/one-000000000001")
    assert gone.bytes < 100_000, "the shared file is still held by the other model"
    assert not Path(gone.path).exists()
    assert (root / "models/one-more-000000000004").is_dir()
    (other,) = remove_models(root, ["two"], kept=[])
    assert other.bytes >= 1_000_000
    assert remove_models(root, ["one", "two"], kept=[]) == []


def test_a_check_removes_nothing(root: Path) -> None:
    assert [gone.path for gone in remove_models(root, ["one"], [], dry=True)]
    assert (root / "models/one-000000000001").is_dir()


@pytest.mark.parametrize("names", [["served"], ["one", "served"], ["one", "two"], ["../secrets"], [""]])
def test_a_model_in_use_or_no_model_is_refused_and_nothing_is_removed(root: Path, names: list[str]) -> None:
    there = sorted((root / "models").iterdir())
    with pytest.raises(ModelProblem, match=r"is in use|is no name of a model"):
        remove_models(root, names, kept=[str(root / "models/two-000000000002")])
    assert sorted((root / "models").iterdir()) == there


def test_the_served_model_is_read_off_the_release(root: Path) -> None:
    assert served_model(root) == str(root / "models/served-000000000003")
    (root / "current").unlink()
    assert served_model(root) == ""
    assert folders_of(root, "one") == [root / "models/one-000000000001"]
