"""A file that is being received: the bytes beside their place, and a journal of the pieces that are there.

The journal's first line describes the file; each further line names one piece that lies on disk whole, with
its CRC-32 and its source. What is read back on resume is held against that CRC: a piece that a power cut
kept from the disk is fetched again, and one line torn by a kill is left out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import zlib
from pathlib import Path

from sightline_fetch.errors import FetchError
from sightline_fetch.wanted import WantedFile

PIECE = 512 << 10
"""Bytes of a piece. What a kill loses of a file is less than one piece for each of its connections."""
SYNC = 4 << 20
"""Bytes after which the disk is told to keep what it has: what a power cut may add to that loss."""


class Part:
    """`file` as far as it has come. Any number of threads may `write`; `keep` runs in one of its own."""

    def __init__(self, file: WantedFile, place: Path) -> None:
        """Open the part at `place` (its journal beside it), and verify what an earlier run left.

        Raises FetchError: the disk is full, or refuses.
        """
        self.file = file
        self.place = place
        self.pieces = -(-file.size // PIECE)
        self.sources: set[str] = set()
        self._done = bytearray(self.pieces)
        self._hasher = file.hasher()
        self._hashed = 0
        self._unsynced = 0
        self._count = 0
        self._lock = threading.Lock()
        self._next_came = threading.Condition(self._lock)
        self._sync_due = threading.Condition(self._lock)
        self._closed = self._kept = False
        self._refusal: FetchError | None = None
        place.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.resumed = 0
        try:
            self._open_journal()
            self._allocate()
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def journal(self) -> Path:
        return journal_of(self.place)

    @property
    def whole(self) -> bool:
        return self._count == self.pieces

    @property
    def there(self) -> int:
        """Bytes in whole pieces."""
        return min(self._count * PIECE, self.file.size)

    def missing(self) -> list[tuple[int, int]]:
        """The runs of bytes that are not there, as (first, end), in order."""
        runs: list[tuple[int, int]] = []
        piece = self._done.find(0)
        while piece >= 0:
            after = self._done.find(1, piece)
            end = self.file.size if after < 0 else after * PIECE
            runs.append((piece * PIECE, end))
            piece = -1 if after < 0 else self._done.find(0, after)
        return runs

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put bytes in their place. Raises FetchError: the disk is full, or refuses."""
        try:
            while data:
                written = os.pwrite(self._fd, data, offset)
                data, offset = memoryview(data)[written:], offset + written
        except OSError as problem:
            raise refused(self.place, problem) from problem

    def piece_is_there(self, piece: int, crc: int, source: str) -> None:
        """Note that a piece lies on disk. Raises FetchError: the journal cannot be written."""
        self.sources.add(source)
        line = f"{piece} {crc:08x} {source}\n".encode()
        size = min(PIECE, self.file.size - piece * PIECE)
        with self._lock:
            if self._done[piece]:
                return
            try:
                os.write(self._journal_fd, line)
            except OSError as problem:
                raise refused(self.journal, problem) from problem
            self._done[piece] = 1
            self._count += 1
            self._unsynced += size
            # Two threads listen, and are not woken for nothing: half a million bytes come in a millisecond.
            if piece == self._hashed:
                self._next_came.notify()
            if self._unsynced >= SYNC:
                self._sync_due.notify()

    def keep(self) -> bool:
        """Hash pieces in order and sync them as they come, until the file is whole or `close` is called.

        Returns whether the hash is the wanted one; False also when closed before. Raises FetchError.
        """
        syncing = threading.Thread(target=self._sync_on, name=f"sync of {self.file.path}", daemon=True)
        syncing.start()
        try:
            self._hash_on()
        finally:
            with self._lock:
                self._kept = True
                self._sync_due.notify()
            syncing.join()
        if self._refusal:
            raise self._refusal
        if not self.whole:
            return False
        self._sync()
        return self._hasher.hexdigest() == self.file.digest

    def _hash_on(self) -> None:
        """Hash the pieces in order until all are hashed, or there will be no more."""
        buffer = memoryview(bytearray(min(PIECE, self.file.size)))
        while self._hashed < self.pieces:
            if not self._done[self._hashed]:
                with self._lock:
                    self._next_came.wait_for(self._next_or_never)
                    if not self._done[self._hashed]:
                        return
            if self._refusal or (self._closed and not self.whole):
                return
            self._hasher.update(self._read_piece(self._hashed, buffer))
            self._hashed += 1

    def _next_or_never(self) -> bool:
        return bool(self._closed or self._refusal or self._done[self._hashed])

    def _sync_on(self) -> None:
        """Have the disk keep what has come, again and again, beside the hashing."""
        while True:
            with self._lock:
                self._sync_due.wait_for(lambda: self._kept or self._unsynced >= SYNC)
                if self._kept:
                    return
                self._unsynced = 0
            try:
                self._sync()
            except FetchError as problem:
                with self._lock:
                    self._refusal = problem
                    self._next_came.notify()
                return

    def _read_piece(self, piece: int, buffer: memoryview) -> memoryview:
        """A piece's bytes, in `buffer`; less where the file is shorter."""
        try:
            view = buffer[: min(PIECE, self.file.size - piece * PIECE)]
            return view[: os.preadv(self._fd, [view], piece * PIECE)]
        except OSError as problem:
            raise refused(self.place, problem) from problem

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
            os.fsync(self._journal_fd)
        except OSError as problem:
            raise refused(self.place, problem) from problem

    def _open_journal(self) -> None:
        head = json.dumps(
            {"journal": 1, "piece": PIECE, "size": self.file.size, self.file.algorithm: self.file.digest}
        )
        try:
            lines = self.journal.read_bytes().decode("ascii", "replace").split("\n")
        except FileNotFoundError:
            lines = [""]
        if lines[0] == head:
            self._resume(lines[1:-1])  # what follows the last newline was torn
        else:
            os.ftruncate(self._fd, 0)
        # Written anew and renamed: what was torn or did not hold is out of it.
        fresh = self.journal.with_name(self.journal.name + ".new")
        try:
            fresh.write_text("\n".join([head, *self._lines()]) + "\n")
            fresh.replace(self.journal)
            self._journal_fd = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as problem:
            raise refused(self.journal, problem) from problem

    def _resume(self, lines: list[str]) -> None:
        self._found: dict[int, tuple[str, str]] = {}
        for line in lines:
            words = line.split(" ", 2)
            if len(words) == 3 and words[0].isdigit() and int(words[0]) < self.pieces:
                self._found[int(words[0])] = (words[1], words[2])
        buffer = memoryview(bytearray(min(PIECE, self.file.size)))
        for piece in sorted(self._found):
            crc, source = self._found[piece]
            data = self._read_piece(piece, buffer)
            right = len(data) == min(PIECE, self.file.size - piece * PIECE)
            if not right or f"{zlib.crc32(data):08x}" != crc:
                del self._found[piece]
                continue
            if piece == self._hashed:
                self._hasher.update(data)
                self._hashed += 1
            self._done[piece] = 1
            self._count += 1
            self.resumed += len(data)
            self.sources.add(source)

    def _lines(self) -> list[str]:
        found = getattr(self, "_found", {})
        return [f"{piece} {crc} {source}" for piece, (crc, source) in sorted(found.items())]

    def _allocate(self) -> None:
        try:
            if self.file.size:
                os.posix_fallocate(self._fd, 0, self.file.size)
            os.ftruncate(self._fd, self.file.size)
        except OSError as problem:
            if problem.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise refused(self.place, problem) from problem
            os.ftruncate(self._fd, self.file.size)

    def close(self) -> None:
        """End `keep` where it waits, and close the files once it has ended (call it after joining)."""
        with self._lock:
            self._closed = True
            self._next_came.notify()

    def release(self) -> None:
        """Close both files."""
        self.close()
        for fd in (self._fd, self._journal_fd):
            with contextlib.suppress(OSError):
                os.close(fd)


def journal_of(place: Path) -> Path:
    """Where the journal of a part lies."""
    return place.with_name(place.name + ".journal")


def refused(place: Path, problem: OSError) -> FetchError:
    """What a disk's refusal means to the user."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space and run the same command again; it goes on from what is there"
        return FetchError(f"{place}: the disk is full", remedy)
    return FetchError(f"{place}: {problem.strerror or problem}", "mend it and run the same command again")
