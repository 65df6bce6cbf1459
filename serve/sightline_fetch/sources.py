"""Where files can come from: hubs, ModelScope, plain HTTP, a site's mirror, a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from sightline_fetch.errors import FetchError
from sightline_fetch.wanted import Wanted

KINDS = ("hub", "mirror", "modelscope", "http", "dir")
THE_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Source:
    """One place. `repo` and `revision` only where they differ from the wanted ones (ModelScope).

    `last`: it is asked for what no other source can give, and not before.
    """

    kind: str
    place: str
    repo: str = ""
    revision: str = ""
    last: bool = False

    def __str__(self) -> str:
        return f"{self.kind}={self.place}"

    @property
    def local(self) -> bool:
        return self.kind == "dir"

    def url(self, wanted: Wanted, path: str) -> str:
        """The address of one file."""
        repo, revision = self.repo or wanted.repo, self.revision or wanted.commit
        if self.kind == "http":
            return f"{self.place}/{quote(path)}"
        if self.kind == "modelscope":
            # The address that ModelScope's own client asks (modelscope/hub/file_download.py).
            words = urlencode({"Revision": revision, "FilePath": path})
            return f"{self.place}/api/v1/models/{repo}/repo?{words}"
        return f"{self.place}/{repo}/resolve/{revision}/{quote(path)}"


def parse_source(words: str) -> Source:
    """Read KIND=PLACE, a URL (a hub) or a path (a directory). Raises FetchError."""
    kind, sign, place = words.partition("=")
    if not sign or kind not in KINDS:
        if sign and kind.isidentifier() and "/" not in kind:
            raise FetchError(
                f"{words!r}: no source is of kind {kind!r}", f"use {', '.join(KINDS)}", words=True
            )
        kind, place = ("hub" if "://" in words else "dir"), words
    if kind == "dir":
        folder = Path(place).expanduser().absolute()
        if not folder.is_dir():
            raise FetchError(f"the source {words!r} is no directory here", "check the path", words=True)
        return Source("dir", str(folder))
    place, _, other = place.partition("#")
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError(f"the source {words!r} is no address", "write https://HOST", words=True)
    if parts.username or parts.password:
        remedy = "give a token by HF_TOKEN or --token-file"
        raise FetchError(f"the source {parts.hostname} has a password in its address", remedy, words=True)
    repo, _, revision = other.partition("@")
    if kind == "modelscope":
        # Its commits are its own: the hash of each file, not the commit, says that the file is the right one.
        revision = revision or "master"
    return Source(kind, place.rstrip("/"), repo, revision)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: to whom a request goes."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
