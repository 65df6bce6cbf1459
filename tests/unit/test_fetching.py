"""What the controller sends for a fetch, and what it makes of the log that comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sightline_fetch.wanted import read_entry
from sightline_fetch.words import parser

from sightline.catalogue import CATALOGUE, CatalogueError, files_fingerprint, load_model, missing_facts, names
from sightline.fetching import EVERY, Told, kit, words

COMPLETE = [name for name in names("model") if not missing_facts(load_model(name))]


@pytest.mark.parametrize("name", COMPLETE)
def test_the_entry_that_is_sent_says_the_same_as_the_catalogue(name: str, tmp_path: Path) -> None:
    sent = kit(CATALOGUE / "models" / f"{name}.yml", None).files()
    (tmp_path / "a/b/c").mkdir(parents=True)
    entry = tmp_path / "a/b/c/entry.json"
    entry.write_bytes(sent["entry.json"][0])
    assert read_entry(entry).fingerprint == files_fingerprint(load_model(name))
    assert "sightline_fetch/__main__.py" in sent
    assert not any("__pycache__" in path for path in sent)


def test_files_of_the_controller_travel_with_it(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\0\1")
    assert kit(CATALOGUE / "models/canary.yml", tmp_path).files()["files/weights"][0] == b"\0\1"
    with pytest.raises(CatalogueError):
        kit(tmp_path / "none.yml", None)


def test_the_words_are_those_that_the_program_knows() -> None:
    told = words("/srv/models/m", "/srv/models", ["https://a", "dir=/b"], ["--limit-rate", "20M"])
    chosen = parser("x").parse_args(told)
    assert (str(chosen.target), str(chosen.link_from), chosen.limit_rate) == (
        "/srv/models/m", "/srv/models", 20e6,
    )  # fmt: skip
    assert chosen.source == ["https://a", "dir=/b"]


def log(*events: dict[str, object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def progress(done: int, left: int | None = 30) -> dict[str, object]:
    return {"event": "progress", "done": done, "total": 400_000_000, "rate": 10_000_000, "seconds_left": left}


def test_of_progress_the_latest_is_shown_every_few_seconds_and_what_happened_at_once() -> None:
    told = Told()
    first = list(told.feed(log(progress(1), progress(100_000_000)), now=1000.0))
    assert first == ["100 MB of 400 MB, 10 MB/s, 0:30 left"]
    assert list(told.feed(log(progress(200_000_000)), now=1000.0 + EVERY / 2)) == []
    event = {"event": "file", "file": "a.bin", "size": 5}
    assert list(told.feed(log(event), now=1000.0 + EVERY / 2)) == ["a.bin: whole and verified, 5 B"]
    assert list(told.feed("", now=1000.0 + EVERY)) == ["200 MB of 400 MB, 10 MB/s, 0:30 left"]
    assert list(told.feed("", now=1000.0 + 2 * EVERY)) == [], "nothing new is known"


def test_a_line_that_came_in_two_parts_is_one() -> None:
    told, line = Told(), log({"event": "file", "file": "a.bin", "size": 5})
    assert list(told.feed(line[:9], now=0)) == []
    assert list(told.feed(line[9:], now=0)) == ["a.bin: whole and verified, 5 B"]


def test_what_is_no_event_is_why_it_failed() -> None:
    told = Told()
    assert list(told.feed("sightline-fetch: the disk is full. Remedy: free some.\n[]\n", now=0)) == []
    assert told.problem == "the disk is full. Remedy: free some. []"
