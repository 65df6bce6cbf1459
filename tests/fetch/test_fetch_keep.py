"""Hash and disk beside each other: neither waits for the other, and what is right is on the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest
from fetching import content
from hub import wait_until
from sightline_fetch.errors import FetchError
from sightline_fetch.part import PIECE, SYNC, Part
from sightline_fetch.wanted import WantedFile

PIECES = 3 * SYNC // PIECE


@pytest.fixture
def data() -> bytes:
    return content(PIECES * PIECE, 8)


@pytest.fixture
def part(data: bytes, tmp_path: Path) -> Part:
    return Part(WantedFile("a.bin", len(data), hashlib.sha256(data).hexdigest()), tmp_path / "a.bin.part")


def bring(part: Part, data: bytes, pieces: range) -> None:
    for piece in pieces:
        part.write(piece * PIECE, data[piece * PIECE : (piece + 1) * PIECE])
        part.piece_is_there(piece, 0, "hub")


def test_all_is_hashed_while_the_disk_is_busy(
    part: Part, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, free, done = threading.Event(), threading.Event(), []
    honest_sync, honest_read = os.fdatasync, os.preadv

    def sync(fd: int) -> None:
        busy.set()
        assert free.wait(20)
        honest_sync(fd)
        done.append("synced")

    def read(fd: int, buffers: list[memoryview], offset: int) -> int:
        done.append("read")
        return honest_read(fd, buffers, offset)

    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(os, "preadv", read)
    right: list[bool] = []
    keeper = threading.Thread(target=lambda: right.append(part.keep()))
    keeper.start()
    try:
        bring(part, data, range(SYNC // PIECE))
        assert busy.wait(20), "the disk is told while more is to come"
        bring(part, data, range(SYNC // PIECE, PIECES))
        assert wait_until(lambda: done.count("read") == PIECES)
        assert right == [], "not before the disk has it"
    finally:
        free.set()
        keeper.join(20)
        part.release()
    assert right == [True]
    assert done[-1] == "synced"


def test_a_disk_that_refuses_ends_it_with_pieces_still_to_come(
    part: Part, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", refuse)
    try:
        bring(part, data, range(SYNC // PIECE))
        with pytest.raises(FetchError, match="Input/output error"):
            part.keep()
    finally:
        part.release()


def test_pieces_in_any_order_and_a_wrong_one(part: Part, data: bytes) -> None:
    """The hash is that of the file, not of the order in which it came."""
    keeper, right = None, []
    try:
        keeper = threading.Thread(target=lambda: right.append(part.keep()))
        keeper.start()
        for piece in reversed(range(1, PIECES)):
            bring(part, data, range(piece, piece + 1))
        part.write(0, bytes(PIECE))
        part.piece_is_there(0, 0, "hub")
        keeper.join(20)
        assert right == [False]
    finally:
        part.release()
