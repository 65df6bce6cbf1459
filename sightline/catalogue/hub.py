"""What a hub says of one repository: its commit, its files with sizes and hashes, and its small files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sightline.catalogue.errors import CatalogueError, Problem

_SERVE = str(Path(__file__).resolve().parents[2] / "serve")
if _SERVE not in sys.path:
    # It runs on hosts; here it lists, asks and follows the rule about the token in the same way.
    sys.path.append(_SERVE)

from sightline_fetch.answer import Addresses, ask, refusal  # noqa: E402
from sightline_fetch.errors import FetchError, SourceFailed  # noqa: E402
from sightline_fetch.listing import list_files  # noqa: E402
from sightline_fetch.sources import Source, origin, parse_source  # noqa: E402
from sightline_fetch.wanted import Wanted, WantedFile, check_repo  # noqa: E402
from sightline_fetch.wire import Terms, Wire  # noqa: E402

__all__ = ["Found", "Terms", "look_up", "origin"]

READ_WHOLE = ("config.json", "preprocessor_config.json", "generation_config.json")
LEFT_OUT = (".*", "*/.*", "*.md", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.mp4", "*.pdf", "original/*")
"""Patterns of files that no engine needs."""
_MOST_INFO = 16 << 20


@dataclass(frozen=True)
class Found:
    """One repository at one commit. `files`: path, size, sha256; `told`: the small JSON files as values."""

    repo: str
    commit: str
    hub: str
    info: dict[str, Any]
    files: list[dict[str, Any]]
    told: dict[str, Any] = field(default_factory=dict)


def look_up(
    repo: str,
    revision: str,
    source: str,
    terms: Terms,
    only: list[str],
    without: list[str],
    say: Callable[[str], None],
) -> Found:
    """Ask the hub at `source` for `repo` at `revision` (a branch, a tag or a commit).

    Left out are files that no pattern of `only` names (where there are any), those one of `without` does,
    and what no engine needs. Small files are fetched to be hashed. Raises CatalogueError.
    """
    try:
        check_repo(repo)
        hub = parse_source(source)
        if hub.kind not in ("hub", "mirror"):
            raise FetchError(f"{source} is no hub", "name one: --source https://HOST", words=True)
        wire = Wire(terms)
        try:
            info = _info(wire, hub, repo, revision)
            commit = str(info.get("sha"))
            listed = list_files(repo, commit, [hub], terms)
            kept = [file for file in listed.files if _is_wanted(file, only, without)]
            if not kept:
                raise FetchError(f"no file of {repo} is left", "check --only and --without", words=True)
            return _hashed(wire, hub, Wanted(repo, commit, tuple(kept), listed.hashes_from), info, say)
        finally:
            wire.close()
    except (FetchError, SourceFailed) as problem:
        remedy = "check the names, the network and the token (HF_TOKEN), or ask another hub (--source)"
        raise CatalogueError([Problem(f"{repo}@{revision}", "", str(problem), remedy)]) from problem


def _info(wire: Wire, hub: Source, repo: str, revision: str) -> dict[str, Any]:
    body = wire.get(f"{hub.place}/api/models/{repo}/revision/{revision.replace('/', '%2F')}")
    if body.status != 200:
        raise refusal(body)
    told = b""
    while (data := body.read()) and len(told) < _MOST_INFO:
        told += data
    body.close()
    try:
        info = json.loads(told)
        if len(str(info["sha"])) != 40:
            raise ValueError(info["sha"])
    except (ValueError, KeyError, TypeError) as problem:
        raise SourceFailed(f"{hub} tells no commit of {repo} (a web page?)") from problem
    return dict(info)


def _is_wanted(file: WantedFile, only: list[str], without: list[str]) -> bool:
    if file.size == 0 or (only and not any(fnmatchcase(file.path, pattern) for pattern in only)):
        return False
    return not any(fnmatchcase(file.path, pattern) for pattern in (*LEFT_OUT, *without))


def _hashed(
    wire: Wire, hub: Source, wanted: Wanted, info: dict[str, Any], say: Callable[[str], None]
) -> Found:
    found = Found(wanted.repo, wanted.commit, hub.place, info, [])
    for file in wanted.files:
        sha256 = file.digest
        if file.algorithm != "sha256":
            say(f"hashing {file.path}, {file.size:,} bytes")
            content = _content(wire, hub, wanted, file)
            sha256 = hashlib.sha256(content).hexdigest()
            if file.path in READ_WHOLE:
                found.told[file.path] = _parsed(file.path, content)
        found.files.append({"path": file.path, "size": file.size, "sha256": sha256})
    return found


def _content(wire: Wire, hub: Source, wanted: Wanted, file: WantedFile) -> bytes:
    """A small file, held against git's own name of it. Raises SourceFailed."""
    stream, _ = ask(wire, Addresses(), hub, wanted, file, 0, file.size)
    content = b""
    while len(content) < file.size and (data := stream.read()):
        content += data
    stream.close()
    hasher = file.hasher()
    hasher.update(content)
    if hasher.hexdigest() != file.digest:
        raise SourceFailed(f"{file.path}: what came is not what the listing names")
    return content


def _parsed(path: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as problem:
        raise SourceFailed(f"{path} is not JSON: {problem}") from problem
