"""A repository's files as a hub lists them, for a fetch without a catalogue entry.

Sizes and hashes are then as trustworthy as the hub that was asked, and the output says so.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sightline_fetch.answer import refusal
from sightline_fetch.errors import FetchError, SourceFailed
from sightline_fetch.sources import Source
from sightline_fetch.wanted import Wanted, WantedFile, check_files
from sightline_fetch.wire import Terms, Wire

_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_MOST = 64 << 20


def list_files(repo: str, commit: str, sources: list[Source], terms: Terms) -> Wanted:
    """Ask the first hub that answers for the commit's files. Raises FetchError: none does."""
    hubs = [source for source in sources if source.kind in ("hub", "mirror")]
    if not hubs:
        raise FetchError("no source lists files", "name a hub (--source https://...)", words=True)
    problems = []
    wire = Wire(terms)
    try:
        for hub in hubs:
            try:
                files = check_files(_list(wire, hub, repo, commit), str(hub))
                return Wanted(repo, commit, files, f"the listing of {hub.place}")
            except SourceFailed as problem:
                problems.append(f"{hub}: {problem}")
    finally:
        wire.close()
    raise FetchError(
        f"no source lists {repo} at {commit[:12]}: {'; '.join(problems)}", "check the names and the network"
    )


def _list(wire: Wire, hub: Source, repo: str, commit: str) -> list[WantedFile]:
    url = f"{hub.place}/api/models/{repo}/tree/{commit}?recursive=true"
    files: list[WantedFile] = []
    while url:
        body = wire.get(url)
        if body.status != 200:
            raise refusal(body)
        told = b""
        while data := body.read():
            told += data
            if len(told) > _MOST:
                raise SourceFailed("its listing does not end")
        if body.length is not None and len(told) != body.length:
            raise SourceFailed("its listing broke off")
        following = _NEXT.search(body.header("Link"))
        body.close()
        try:
            listed = json.loads(told)
        except ValueError as problem:
            raise SourceFailed("its listing is not JSON (a web page?)") from problem
        if not isinstance(listed, list):
            raise SourceFailed("its listing is no list")
        files += [_file(item) for item in listed if not isinstance(item, dict) or item.get("type") == "file"]
        url = following[1] if following else ""
    return files


def _file(item: Any) -> WantedFile:
    """One file of the listing: large ones by the sha256 of their LFS object, small ones by git's own name."""
    try:
        large = item.get("lfs")
        if large:
            digest, algorithm = large.get("oid") or large["sha256"], "sha256"
        else:
            digest, algorithm = item["oid"], "git-sha1"
        size = large["size"] if large else item["size"]
        if not re.fullmatch("[0-9a-f]{64}" if large else "[0-9a-f]{40}", digest) or size < 0:
            raise ValueError(digest)
        return WantedFile(str(item["path"]), int(size), digest, algorithm)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise SourceFailed(f"its listing has an odd entry: {str(item)[:100]}") from problem
