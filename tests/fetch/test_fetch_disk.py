"""A disk that refuses while files come: a clear error, and a later run that goes on."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from fetching import environment, fetch, holds, model, write_entry
from hub import Hub
from sightline_fetch.errors import FetchError
from sightline_fetch.part import PIECE, Part
from sightline_fetch.wanted import WantedFile


def test_a_file_size_limit_of_the_system(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model"
    words = ["--entry", str(write_entry(tmp_path, model())), "--source", hub.url, "--target", str(target)]
    ended = subprocess.run(
        [sys.executable, "-m", "sightline_fetch", *words],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)),
    )
    assert ended.returncode == 1
    assert "model.bin.part: File too large" in ended.stderr
    assert "Remedy" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (target / "model.bin").exists()
    assert fetch(*words).code == 0
    assert holds(target, model())


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "write", "fdatasync"])
def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = WantedFile("a.bin", 12 * PIECE, "0" * 64)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def use() -> None:
        part = Part(file, tmp_path / "a.bin.part")
        try:
            if call != "posix_fallocate":
                monkeypatch.setattr(os, call, full)
            for piece in range(12):
                part.write(piece * PIECE, bytes(PIECE))
                part.piece_is_there(piece, 0, "hub")
            part.keep()
        finally:
            part.release()

    if call == "posix_fallocate":
        monkeypatch.setattr(os, call, full)
    with pytest.raises(FetchError, match=r"the disk is full.*goes on from what is there"):
        use()


def test_a_folder_that_may_not_be_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file where the folder should be")
    ended = fetch(
        "--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", tmp_path / "model"
    )
    assert ended.code == 1
    assert "Remedy" in ended.errors
