"""What the controller knows of a fetch on a host: what is sent there, and what its log says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.catalogue.reading import read_entry
from sightline.hostside import Contents
from sightline.layout import CHECKOUT

_SERVE = str(CHECKOUT / "serve")
if _SERVE not in sys.path:
    # It runs on hosts; the controller says what a fetch says in the same words.
    sys.path.append(_SERVE)

from sightline_fetch.formats import WrongFormat, check_formats  # noqa: E402
from sightline_fetch.progress import how_far, sentence  # noqa: E402
from sightline_fetch.wanted import OWN_FOLDER  # noqa: E402

__all__ = ["EVERY", "OWN_FOLDER", "Told", "WrongFormat", "check_formats", "kit", "share_words", "words"]

EVERY = 5.0
"""Seconds between two lines about how far it has come."""


def kit(entry: Path, files: Path | None) -> Contents:
    """What a host needs to fetch `entry`: the program, the entry as JSON, and `files` where we have them.

    Raises:
        CatalogueError: the entry cannot be read. OSError: a file of this kit cannot be.
    """
    told = json.dumps(read_entry(entry, entry.name), indent=1) + "\n"
    more = {"files": files} if files else {}
    return Contents(CHECKOUT / "serve/sightline_fetch", {"entry.json": told}, "sightline_fetch", more)


def words(path: str, models: str, sources: Sequence[str], options: Sequence[str]) -> list[str]:
    """The options of sightline-fetch for a job that runs in the folder above its kit."""
    found = ["--json", "--entry", "kit/entry.json", "--target", path, "--link-from", models]
    for source in sources:
        found += ["--source", source]
    return [*found, *options]


def share_words(path: str, listen: str) -> list[str]:
    """The options of sightline_fetch.share for a job beside the one that fetches `path`."""
    return ["--entry", "kit/entry.json", "--target", path, "--listen", listen]


@dataclass
class Told:
    """A log as far as it was read. `feed` it what was added; `said` are lines of no event: errors."""

    said: list[str] = field(default_factory=list)
    _rest: str = ""
    _progress: Mapping[str, Any] | None = None
    _shown_at: float = float("-inf")

    def feed(self, text: str, now: float) -> Iterator[str]:
        """The lines to show for `text`, at the time `now` in seconds: what happened, and how far it is."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            event = _event(line)
            if event is None:
                self.said += [line.strip()] if line.strip() else []
            elif event["event"] == "progress":
                self._progress = event
            else:
                yield sentence(event["event"], event)
        if self._progress and self._progress["done"] and now - self._shown_at >= EVERY:
            self._shown_at = now
            told = self._progress
            yield how_far(told["done"], told["total"], told["rate"], told["seconds_left"])
            self._progress = None

    @property
    def problem(self) -> str:
        """Why it failed, in the program's own last words."""
        return " ".join(self.said[-3:]).removeprefix("sightline-fetch: ")


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
