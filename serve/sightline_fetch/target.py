"""The folder that the files go to, and what is kept there: parts, journals, quarantine, the stamp."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

from sightline_fetch.errors import FetchError
from sightline_fetch.part import Part, journal_of, refused
from sightline_fetch.wanted import OWN_FOLDER, Wanted, WantedFile

HASH_READ = 4 << 20


class Target:
    """`folder`, locked against a second fetch for as long as this object is open."""

    def __init__(self, folder: Path) -> None:
        """Raises FetchError: it cannot be written, or another fetch is at work there."""
        self.folder = folder
        self.own = folder / OWN_FOLDER
        try:
            self.own.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            raise refused(folder, problem) from problem
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self._lock)
            remedy = "wait until it has ended, or end it"
            raise FetchError(f"another fetch is at work in {folder}", remedy) from problem

    def close(self) -> None:
        """Let the next fetch in."""
        os.close(self._lock)

    def place(self, file: WantedFile) -> Path:
        """Where the file goes. Raises FetchError: a link on the way leads out of the folder."""
        place = self.folder / file.path
        if not place.parent.resolve().is_relative_to(self.folder.resolve()):
            raise FetchError(f"{place.parent} leads out of {self.folder}", "take that link away")
        return place

    def part(self, file: WantedFile) -> Part:
        """The file as far as it has come. Raises FetchError."""
        try:
            return Part(file, self._part_place(file))
        except OSError as problem:
            raise refused(self._part_place(file), problem) from problem

    def _part_place(self, file: WantedFile) -> Path:
        return self.own / "parts" / f"{file.path}.part"

    def put_in_place(self, part: Part) -> None:
        """Rename a verified part to its name. Raises FetchError."""
        place = self.place(part.file)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part.place.replace(place)
            _sync_folder(place.parent)
            part.journal.unlink(missing_ok=True)
        except OSError as problem:
            raise refused(place, problem) from problem

    def quarantine(self, file: WantedFile) -> Path:
        """Set a file aside that is not what it should be; returns where it lies. Raises FetchError."""
        return self._set_aside(self.place(file), file)

    def quarantine_part(self, part: Part) -> Path:
        """Set a part aside that came to the wrong hash. Raises FetchError."""
        part.journal.unlink(missing_ok=True)
        return self._set_aside(part.place, part.file)

    def _set_aside(self, place: Path, file: WantedFile) -> Path:
        kept = self.own / "quarantine" / file.path
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            place.replace(kept)  # the newest one only: each is as large as the file
        except OSError as problem:
            raise refused(place, problem) from problem
        return kept

    def check_space(self, files: list[WantedFile]) -> None:
        """Raises FetchError when what is still to come does not fit on the disk."""
        needed = 0
        for file in files:
            allocated = 0
            with contextlib.suppress(OSError):
                allocated = self._part_place(file).stat().st_blocks * 512
            needed += max(0, file.size - allocated)
        there = os.statvfs(self.own)
        free = there.f_bavail * there.f_frsize
        if needed > free:
            what = f"{self.folder}: {needed:,} bytes are still to come, and its disk has {free:,} free"
            raise FetchError(what, f"free {needed - free:,} bytes, or give another --target")

    def is_right(self, file: WantedFile, seen: Callable[[int], None]) -> bool:
        """Whether the file in place has the wanted size and hash; `seen` hears bytes read."""
        place = self.place(file)
        try:
            if place.stat().st_size != file.size:
                return False
            hasher = file.hasher()
            with place.open("rb", buffering=0) as content:
                while data := content.read(HASH_READ):
                    hasher.update(data)
                    seen(len(data))
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise refused(place, problem) from problem
        return hasher.hexdigest() == file.digest

    def is_there(self, file: WantedFile) -> bool:
        return os.path.lexists(self.place(file))

    def stamped(self, wanted: Wanted) -> set[str]:
        """The files that an earlier run verified, and whose size and time of change are as they were."""
        try:
            stamp = json.loads((self.own / "verified.json").read_text())
            noted = stamp["files"]
            whole = set()
            for file in wanted.files:
                note, found = noted.get(file.path), self.place(file).stat() if file.path in noted else None
                if found and note == self._note(file, found):
                    whole.add(file.path)
            return whole
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return set()

    def stamp(self, wanted: Wanted) -> None:
        """Write down that every file is whole and verified. Raises FetchError."""
        try:
            files = {file.path: self._note(file, self.place(file).stat()) for file in wanted.files}
            stamp = {
                "stamp": 1,
                "repo": wanted.repo,
                "commit": wanted.commit,
                "fingerprint": wanted.fingerprint,
                "hashes_from": wanted.hashes_from,
                "files": files,
            }
            fresh = self.own / "verified.json.new"
            with fresh.open("w") as file:
                file.write(json.dumps(stamp, indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.own / "verified.json")
            _sync_folder(self.own)
        except OSError as problem:
            raise refused(self.own, problem) from problem

    @staticmethod
    def _note(file: WantedFile, found: os.stat_result) -> list[str | int]:
        return [file.algorithm, file.digest, found.st_size, found.st_mtime_ns]

    def tidy(self, wanted: Wanted) -> None:
        """Take away parts and journals of files that are in place."""
        for file in wanted.files:
            place = self._part_place(file)
            for left in (place, journal_of(place)):
                with contextlib.suppress(OSError):
                    left.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
