"""What a bundle holds, as its bundle.json says, and its files, from a folder or from a tar."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

NAME = "bundle.json"
SCHEMA = 1
PACKAGES = "packages/"
READ = 4 << 20


class BundleProblem(Exception):
    """A bundle cannot be made or used; the message says which, why and what to do."""


@dataclass(frozen=True)
class Note:
    """A file: sha256 in hex, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Bundle:
    """`place` is the folder or tar. `wheels`: digest of a lock file -> minor version of Python -> paths.

    `models`: name -> fingerprint of its files, which lie in models/NAME. `distribution`: id and version whose
    packages it has, else empty. `machine`: as `uname -m` says it.
    """

    place: Path
    machine: str
    wheels: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    distribution: tuple[str, str] | tuple[()] = ()
    files: Mapping[str, Note] = field(default_factory=dict)

    def below(self, folder: str) -> dict[str, Note]:
        """The files in `folder` (with its slash), by their paths in it."""
        return {path[len(folder) :]: note for path, note in self.files.items() if path.startswith(folder)}

    def of_locks(self, digests: Sequence[str], minor: str) -> dict[str, Note]:
        """The wheels of lock files for Python `minor`, by path. Raises BundleProblem."""
        try:
            return {path: self.files[path] for digest in digests for path in self.wheels[digest][minor]}
        except KeyError as missing:
            raise BundleProblem(
                f"{self.place} has no wheels for {missing}, Python {minor}: make it anew from this checkout"
            ) from None

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Read its files. Raises BundleProblem."""
        if self.place.is_dir():
            yield Opened(self, None)
            return
        with _tar(self.place) as archive:
            yield Opened(self, archive)

    def write(self) -> None:
        """Write bundle.json, whole or not at all."""
        told = {"schema": SCHEMA, **{key: value for key, value in asdict(self).items() if key != "place"}}
        beside = self.place / f".{NAME}.new"
        beside.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
        beside.replace(self.place / NAME)


class Opened:
    """A bundle whose files can be read. `archive` is None for a folder."""

    def __init__(self, bundle: Bundle, archive: tarfile.TarFile | None) -> None:
        self._bundle, self._archive = bundle, archive

    def file(self, path: str) -> IO[bytes]:
        """Open a file of the bundle. Raises BundleProblem where it is not there."""
        try:
            if self._archive is None:
                return (self._bundle.place / path).open("rb")
            if content := self._archive.extractfile(path):
                return content
        except (OSError, KeyError):
            pass
        raise BundleProblem(f"{self._bundle.place} lacks {path}, which its {NAME} names: make it anew")

    @contextmanager
    def on_disk(self, path: str) -> Iterator[Path]:
        """A file of the bundle as one of the disk; one in a tar is copied out meanwhile."""
        if self._archive is None:
            yield self._bundle.place / path
            return
        with NamedTemporaryFile(prefix="sightline-") as copy, self.file(path) as content:
            shutil.copyfileobj(content, copy, READ)
            copy.flush()
            yield Path(copy.name)

    def wrong(self) -> Iterator[str]:
        """Yield the paths of files that are missing or not what bundle.json says; reads all of them."""
        for path, note in sorted(self._bundle.files.items()):
            try:
                with self.file(path) as content:
                    right = note_of(content) == note
            except BundleProblem:
                right = False
            if not right:
                yield path


def note_of(content: IO[bytes]) -> Note:
    """What a file is."""
    hasher, size = hashlib.sha256(), 0
    while data := content.read(READ):
        hasher.update(data)
        size += len(data)
    return Note(hasher.hexdigest(), size)


def read_bundle(place: Path) -> Bundle:
    """Read what the bundle at `place` holds; its files are not looked at. Raises BundleProblem."""
    try:
        if place.is_dir():
            text = (place / NAME).read_bytes()
        else:
            with _tar(place) as archive:
                content = archive.extractfile(NAME)
                assert content is not None
                text = content.read()
        return _bundle(place, json.loads(text))
    except (FileNotFoundError, KeyError) as problem:
        if not place.exists():
            raise BundleProblem(f"{place} is not there: make one with scripts/bundle") from problem
        raise BundleProblem(
            f"{place} has no {NAME}: it is no bundle, or its making was cut off (make it again)"
        ) from problem
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise BundleProblem(f"{place}: its {NAME} cannot be used ({problem}): make it anew") from problem


def _tar(place: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(place, "r:")  # one that is compressed would be read through for each file
    except tarfile.TarError as problem:
        raise BundleProblem(f"{place} is neither a folder nor an uncompressed tar ({problem})") from problem


def _bundle(place: Path, told: dict[str, Any]) -> Bundle:
    if told["schema"] != SCHEMA:
        raise ValueError(f"schema {told['schema']}; this version reads {SCHEMA}")
    files = {}
    for path, note in told["files"].items():
        if path.startswith("/") or ".." in Path(path).parts:
            raise ValueError(f"{path} leads out of it")
        files[path] = Note(str(note["sha256"]), int(note["size"]))
    distribution = told["distribution"]
    return Bundle(
        place=place,
        machine=str(told["machine"]),
        wheels=told["wheels"],
        models=told["models"],
        distribution=(distribution[0], distribution[1]) if distribution else (),
        files=files,
    )
