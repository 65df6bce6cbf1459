"""The command's words: what may be said, and what it means."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from sightline_fetch.errors import FetchError
from sightline_fetch.sources import THE_HUB, Source, origin, parse_source
from sightline_fetch.wanted import Wanted
from sightline_fetch.wire import Terms

_ABOUT = "Bring a model's files into a folder: whole, verified, and from where an interrupted run left off."
_HELP = """sources, tried by measured speed, the first where it is at least half as fast as the fastest:
  hub=https://HOST       a hub or a mirror of one (the same as https://HOST); addresses as huggingface_hub's
  mirror=http://HOST     a site's own mirror, with a hub's addresses
  modelscope=https://www.modelscope.cn[#OWNER/NAME[@REVISION]]
  http=https://HOST/DIR  plain files: DIR/PATH
  dir=/DIR               a folder (the same as /DIR)
Without --source: $HF_ENDPOINT, or https://huggingface.co.

examples:
  %(prog)s --entry catalogue/models/canary.yml --target /data/models/canary
  %(prog)s --entry MODEL.json --target DIR --source mirror=http://10.0.0.5:8090 --source https://hf-mirror.com
  %(prog)s --repo OWNER/NAME --revision 40-DIGIT-COMMIT --source https://huggingface.co --target DIR
  %(prog)s --entry MODEL.json --target DIR --verify     read and hash every file again
  %(prog)s --entry MODEL.json --target DIR --check      only say whether all is there and verified

A token ($HF_TOKEN, or --token-file) goes to https://huggingface.co and to origins named by --token-for, and
nowhere else: not to a mirror, not along a redirect. Proxies: http_proxy, https_proxy, no_proxy.

Exit: 0 every file is whole and verified; 1 some file is not, and the output says which and why; 2 wrong words
or input; 130 interrupted. After 1 and 130 the same command goes on from what is there."""


def parser(program: str) -> argparse.ArgumentParser:
    """The parser of the command line."""
    words = argparse.ArgumentParser(
        prog=program, description=_ABOUT, epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--entry", type=Path, metavar="FILE", help="a catalogue entry, YAML or JSON")
    words.add_argument(
        "--repo", metavar="OWNER/NAME", help="without an entry: the hub's own listing is trusted"
    )
    words.add_argument("--revision", metavar="COMMIT", help="the commit to take, 40 hexadecimal digits")
    words.add_argument("--target", type=Path, required=True, metavar="DIR", help="where the files go")
    words.add_argument(
        "--source", action="append", default=[], metavar="[KIND=]PLACE", help="may be repeated"
    )
    words.add_argument(
        "--last-source", action="append", default=[], metavar="[KIND=]PLACE",
        help="asked only for what no --source can give; may be repeated",
    )  # fmt: skip
    words.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="these files, as *.gguf"
    )
    words.add_argument(
        "--link-from", type=Path, metavar="DIR", help="of models: a file of theirs that is wanted is linked"
    )
    words.add_argument("--check", action="store_true", help="fetch nothing; say whether all is there")
    words.add_argument("--verify", action="store_true", help="hash what is there, whatever the stamp says")
    words.add_argument("--connections", type=_count, default=8, metavar="N", help="in all (8)")
    words.add_argument("--per-file", type=_count, default=4, metavar="N", help="for one file (4)")
    words.add_argument("--limit-rate", type=_bytes, default=0, metavar="N[k|M|G]", help="bytes a second")
    words.add_argument(
        "--tries", type=_count, default=12, metavar="N", help="failures in a row of a source (12)"
    )
    words.add_argument("--timeout", type=_seconds, default=20.0, metavar="S", help="wait for a byte (20)")
    words.add_argument("--patience", type=_seconds, default=5.0, metavar="S", help="with a slow source (5)")
    words.add_argument("--token-file", type=Path, metavar="FILE", help="holds the Hub's token")
    words.add_argument(
        "--token-for", action="append", default=[], metavar="URL", help="may see the token too"
    )
    shown = words.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="JSON lines on standard output")
    shown.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return words


def sources_of(chosen: argparse.Namespace, folder: Path | None) -> list[Source]:
    """The sources in order. Raises FetchError."""
    named = [parse_source(words) for words in chosen.source]
    last = [replace(parse_source(words), last=True) for words in chosen.last_source]
    if not named and folder is not None:
        named = [parse_source(f"dir={folder}")]
    if named:
        return [*named, *(source for source in last if source.place not in {one.place for one in named})]
    return last or [parse_source(f"hub={os.environ.get('HF_ENDPOINT') or THE_HUB}")]


def terms_of(chosen: argparse.Namespace) -> Terms:
    """The token and who may see it. Raises FetchError."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if chosen.token_file:
        try:
            token = chosen.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise FetchError(
                f"--token-file: {problem}", "name a file that can be read", words=True
            ) from problem
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise FetchError(
            "the token holds blanks or other letters than a token can", "copy it anew", words=True
        )
    for url in chosen.token_for:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"--token-for {url!r} is no address", "write https://HOST", words=True)
    origins = frozenset(origin(url) for url in (THE_HUB, *chosen.token_for))
    return Terms(token=token, token_for=origins, timeout=chosen.timeout)


def narrowed(wanted: Wanted, patterns: list[str]) -> Wanted:
    """Only the files that a pattern names. Raises FetchError: one names none."""
    if not patterns:
        return wanted
    for pattern in patterns:
        if not any(fnmatchcase(file.path, pattern) for file in wanted.files):
            there = ", ".join(file.path for file in wanted.files[:12])
            raise FetchError(f"--only {pattern!r} names no file", f"there are: {there}", words=True)
    files = tuple(f for f in wanted.files if any(fnmatchcase(f.path, pattern) for pattern in patterns))
    return Wanted(wanted.repo, wanted.commit, files, wanted.hashes_from, wanted.folder)


def _count(words: str) -> int:
    if not words.isdigit() or not 1 <= int(words) <= 64:
        raise argparse.ArgumentTypeError(f"{words!r} is no number from 1 to 64")
    return int(words)


def _seconds(words: str) -> float:
    try:
        seconds = float(words)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{words!r} is no number of seconds from 0.1 to 3600")
    return seconds


def _bytes(words: str) -> float:
    said = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", words)
    if not said or float(said[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{words!r} is no rate, such as 500k or 20M")
    return float(said[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[said[2]]
