"""Wrong words and wrong entries: exit 2, a sentence that helps, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fetching import COMMIT, fetch, model, write_entry


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --entry FILE"),
        (("--repo", "owner/model", "--revision", "main"), "40 hexadecimal digits"),
        (("--repo", "model", "--revision", COMMIT), "owner/name"),
        (("--entry", "nowhere.json"), "nowhere.json"),
        (("--entry", "ENTRY", "--source", "ftp=x"), "no source is of kind 'ftp'"),
        (("--entry", "ENTRY", "--source", "/no/such/folder"), "no directory"),
        (("--entry", "ENTRY", "--source", "https://me:secret@host"), "password in its address"),
        (("--entry", "ENTRY", "--only", "*.gguf"), "names no file"),
        (("--entry", "ENTRY", "--connections", "0"), "from 1 to 64"),
        (("--entry", "ENTRY", "--limit-rate", "fast"), "500k or 20M"),
        (("--entry", "ENTRY", "--token-file", "nowhere"), "--token-file"),
    ],
    ids=str,
)
def test_wrong_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    entry = str(write_entry(tmp_path, model()))
    ended = fetch(*(entry if word == "ENTRY" else word for word in words), "--target", tmp_path / "model")
    assert ended.code == 2
    assert said in ended.errors
    assert "secret" not in ended.errors
    assert not (tmp_path / "model").exists()


GOOD = {"path": "a.bin", "size": 1, "sha256": "a" * 64}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({**GOOD, "path": "../a.bin"}, "no path inside"),
        ({**GOOD, "path": "/etc/passwd"}, "no path inside"),
        ({**GOOD, "path": "a//b"}, "no path inside"),
        ({**GOOD, "path": ".sightline-fetch/lock"}, "no path inside"),
        ({**GOOD, "size": None}, "the size of a.bin is not known"),
        ({**GOOD, "sha256": None}, "the sha256 of a.bin is not known"),
        ({**GOOD, "sha256": "A" * 64}, "no sha256"),
        ({**GOOD, "size": -1}, "no size"),
        ({"size": 1}, "without a path"),
        (GOOD | {"path": "b.bin/c"}, "would lie in it"),
        (GOOD | {"path": "b.bin"}, "stands there twice"),
    ],
    ids=str,
)
def test_wrong_entries(tmp_path: Path, file: dict[str, object], said: str) -> None:
    files = [{**GOOD, "path": "b.bin"}, file]
    entry = tmp_path / "entry.json"
    entry.write_text(json.dumps({"repo": "owner/model", "commit": COMMIT, "files": files}))
    ended = fetch("--entry", entry, "--target", tmp_path / "model")
    assert ended.code == 2
    assert said in ended.errors
    assert not (tmp_path / "model").exists()


def test_a_link_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    outside, target, there = tmp_path / "outside", tmp_path / "model", tmp_path / "there"
    for folder in (outside, target, there / "folder"):
        folder.mkdir(parents=True)
    (there / "folder" / "x").write_bytes(b"x")
    (target / "folder").symlink_to(outside)
    entry = write_entry(tmp_path, {"folder/x": b"x"})
    ended = fetch("--entry", entry, "--source", there, "--target", target)
    assert ended.code == 1
    assert "leads out" in ended.errors
    assert list(outside.iterdir()) == []


def test_help_teaches(tmp_path: Path) -> None:
    import subprocess
    import sys

    from fetching import environment

    told = subprocess.run(
        [sys.executable, "-m", "sightline_fetch", "--help"], capture_output=True, text=True, env=environment()
    )
    assert told.returncode == 0
    for word in ("examples:", "Exit:", "HF_ENDPOINT", "modelscope=", "--token-for"):
        assert word in told.stdout
