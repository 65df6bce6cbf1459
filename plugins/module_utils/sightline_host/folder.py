"""Folders that arrive whole: a manifest of every file, checked before the folder appears under its name.

A folder is packed with its manifest on the controller, unpacked beside its place on the host, checked
(size and sha256 of every file) and renamed. Its fingerprint is the sha256 of the manifest's lines, so two
folders with the same files have the same one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = ".sightline.json"
Manifest = dict[str, Any]


class FolderProblem(Exception):
    """A folder could not be packed or installed; the message says which file and why."""


@dataclass(frozen=True)
class Contents:
    """What a folder shall hold: the files under `source`, put below `into`, and `extra` (path -> text).

    `more`: further folders, by the folder that their files are put below.
    """

    source: Path | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    into: str = ""
    more: Mapping[str, Path] = field(default_factory=dict)

    def files(self) -> dict[str, tuple[bytes, bool]]:
        """Path (relative, "/") -> content and whether it is executable. Raises FolderProblem, OSError."""
        found = {path: (text.encode(), False) for path, text in self.extra.items()}
        if self.source is not None:
            found.update(_read(self.source, self.into))
        for into, source in self.more.items():
            found.update(_read(source, into))
        return found


def _read(source: Path, into: str) -> dict[str, tuple[bytes, bool]]:
    if not source.is_dir():
        raise FolderProblem(f"{source} is not a folder")
    found = {}
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = [
            name for name in subfolders if name != "__pycache__" and not name.endswith(".egg-info")
        ]
        for name in names:
            if name != MANIFEST:
                file = Path(folder) / name
                path = (Path(into) / file.relative_to(source)).as_posix()
                found[path] = (file.read_bytes(), bool(file.stat().st_mode & stat.S_IXUSR))
    return found


def describe(contents: Contents, executables: frozenset[str] = frozenset()) -> Manifest:
    """The manifest of `contents`.

    {"fingerprint": sha256, "files": {path: {"size": bytes, "sha256": hex, "mode": "0644"}}}
    """
    files = {
        path: {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "mode": "0755" if executable or path in executables else "0644",
        }
        for path, (content, executable) in sorted(contents.files().items())
    }
    if not files:
        raise FolderProblem(f"{contents.source} has no files to install")
    return {"fingerprint": fingerprint(files), "files": files}


def fingerprint(files: Mapping[str, Mapping[str, Any]]) -> str:
    lines = "".join(f"{path} {files[path]['sha256']} {files[path]['mode']}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def pack(contents: Contents, manifest: Manifest) -> bytes:
    """A gzipped tar of the files in `manifest`; the same files give the same bytes."""
    files = contents.files()
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=3) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, entry in sorted(manifest["files"].items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = entry["size"], int(entry["mode"], 8)
            archive.addfile(member, io.BytesIO(files[path][0]))
    return buffer.getvalue()


def read_manifest(path: Path) -> Manifest | None:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or "fingerprint" not in manifest:
        return None
    files = manifest.get("files")
    whole = isinstance(files, dict) and all(
        isinstance(entry, dict) and {"size", "sha256", "mode"} <= entry.keys() for entry in files.values()
    )
    return manifest if whole else None


def is_whole(path: Path, manifest: Manifest, deep: bool = False) -> bool:
    """Whether every file of `manifest` lies under `path` with its size; `deep` also reads and hashes each."""
    for name, entry in manifest["files"].items():
        file = path / name
        try:
            if file.stat().st_size != entry["size"]:
                return False
            if deep and hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
                return False
        except OSError:
            return False
    return True


def install(archive: Path, manifest: Manifest, destination: Path) -> None:
    """Unpack `archive` beside `destination`, check it against `manifest`, and put it in place.

    Raises FolderProblem when a file is missing or wrong; then `destination` is as it was before.
    """
    beside = destination.with_name(f".{destination.name}.{os.getpid()}.new")
    old = destination.with_name(f".{destination.name}.{os.getpid()}.old")
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside.mkdir()
        _unpack(archive, beside, manifest)
        if not is_whole(beside, manifest, deep=True):
            raise FolderProblem(f"{archive.name} does not hold the files of its manifest: send it again")
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        if destination.exists():
            destination.rename(old)
        try:
            beside.rename(destination)
        except OSError:
            if old.exists():
                old.rename(destination)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _unpack(archive: Path, folder: Path, manifest: Manifest) -> None:
    try:
        with tarfile.open(archive, mode="r:gz") as packed:
            for member in packed:
                entry = manifest["files"].get(member.name)
                if entry is None or not member.isfile() or not _stays_inside(member.name):
                    raise FolderProblem(f"{archive.name} holds {member.name!r}, which is not in its manifest")
                content = packed.extractfile(member)
                assert content is not None
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                target.chmod(int(entry["mode"], 8))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise FolderProblem(f"{archive.name} arrived broken ({problem}): send it again") from problem


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts
