"""What is to be fetched: a repository at one commit, and each file with its size and hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sightline_fetch.errors import FetchError

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
OWN_FOLDER = ".sightline-fetch"
"""In the target: parts, journals, quarantine and the stamp."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One file: `size` in bytes; `digest` as hexadecimal digits of `algorithm` (sha256, or git-sha1)."""

    path: str
    size: int
    digest: str
    algorithm: str = "sha256"

    def hasher(self) -> hashlib._Hash:
        """A hash object that comes to `digest` over the right content.

        git-sha1 is git's name of a blob: sha1 over "blob SIZE", a zero byte and the content (Pro Git, 10.2).
        """
        if self.algorithm == "git-sha1":
            return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        return hashlib.sha256()


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of a model. `hashes_from` tells where sizes and hashes come from; `folder`: its files lie here."""

    repo: str
    commit: str
    files: tuple[WantedFile, ...]
    hashes_from: str
    folder: Path | None = None

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """sha256 over each file's path, size and hash: the same files have the same one."""
        lines = sorted(f"{f.path}\0{f.size}\0{f.algorithm}\0{f.digest}\n" for f in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_repo(repo: object) -> str:
    """Return `repo` when it is OWNER/NAME. Raises FetchError."""
    if not isinstance(repo, str) or not _REPO.fullmatch(repo):
        raise FetchError(f"{repo!r} is no repository", "write it as owner/name", words=True)
    return repo


def check_commit(commit: object) -> str:
    """Return `commit` when it is 40 hexadecimal digits. Raises FetchError."""
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        remedy = (
            "give the commit's 40 hexadecimal digits; a branch such as main can change under the transfer"
        )
        raise FetchError(f"{commit!r} is no commit", remedy, words=True)
    return commit


def check_files(files: Iterable[WantedFile], where: str) -> tuple[WantedFile, ...]:
    """Return the files when all can lie in one folder. Raises FetchError: a path that leads out, or twice."""
    found: dict[str, WantedFile] = {}
    for file in files:
        parts = PurePosixPath(file.path).parts
        if (
            not parts
            or file.path != "/".join(parts)
            or parts[0] in ("/", OWN_FOLDER)
            or ".." in parts
            or any(ord(letter) < 32 for letter in file.path)
        ):
            raise FetchError(f"{where}: {file.path!r} is no path inside a model's folder", words=True)
        if file.path in found:
            raise FetchError(f"{where}: {file.path!r} stands there twice", "keep one of them", words=True)
        found[file.path] = file
    for path in found:
        above = next((str(p) for p in PurePosixPath(path).parents if str(p) in found), None)
        if above:
            raise FetchError(f"{where}: {above!r} is a file, and {path!r} would lie in it", words=True)
    if not found:
        raise FetchError(
            f"{where}: no files are listed", "find them out first (scripts/catalogue)", words=True
        )
    return tuple(found.values())


def read_entry(path: Path) -> Wanted:
    """Read a catalogue entry (YAML or JSON). Raises FetchError: it cannot be read, or facts are missing."""
    entry = _load(path)
    source = entry.get("source")
    if not isinstance(source, dict):
        source = {"kind": "hub", "repo": entry.get("repo"), "commit": entry.get("commit")}
    listed = entry.get("files")
    if not isinstance(listed, list):
        raise FetchError(f"{path} has no list `files`", "give it a catalogue entry", words=True)
    files = check_files((_file(path, item) for item in listed), str(path))
    if source.get("kind") == "repository":
        # The entry lies in CHECKOUT/catalogue/models/NAME.yml, its files below CHECKOUT.
        folder = path.resolve().parents[2] / str(source.get("path"))
        return Wanted(f"{path.stem} (this checkout)", "", files, "the catalogue", folder)
    return Wanted(check_repo(source.get("repo")), check_commit(source.get("commit")), files, "the catalogue")


def _file(entry: Path, item: Any) -> WantedFile:
    name = item.get("path") if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise FetchError(f"{entry}: a file without a path: {item!r}", words=True)
    size, sha256 = item.get("size"), item.get("sha256")
    missing = "size" if size is None else "sha256" if sha256 is None else ""
    if missing:
        remedy = "complete the entry, or fetch with --repo and --revision and trust the hub's own listing"
        raise FetchError(f"{entry}: the {missing} of {name} is not known", remedy, words=True)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise FetchError(f"{entry}: {name}: {size!r} is no size in bytes", words=True)
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise FetchError(
            f"{entry}: {name}: {sha256!r} is no sha256 (64 small hexadecimal digits)", words=True
        )
    return WantedFile(name, size, sha256)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            entry = json.loads(text)
        else:
            import yaml  # only here: a fetch on a bare host takes JSON and needs no package

            try:
                entry = yaml.safe_load(text)
            except yaml.YAMLError as problem:
                raise FetchError(f"{path} is not YAML: {problem}", "correct it", words=True) from problem
    except ModuleNotFoundError as problem:
        raise FetchError(
            f"{path}: this Python has no PyYAML", "give the entry as JSON", words=True
        ) from problem
    except (OSError, ValueError) as problem:
        raise FetchError(f"{path} cannot be read: {problem}", "check the path", words=True) from problem
    if not isinstance(entry, dict):
        raise FetchError(f"{path} holds no catalogue entry", "see docs/catalogue.md", words=True)
    return entry
