"""Each fault alone: the bytes come out right, or the error is clear and nothing wrong lies in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import COMMIT, MIB, fetch, holds, model, write_entry
from hub import Hub

QUICK = ("--timeout", "1", "--patience", "0.5", "--tries", "3")


def nothing_is_in_place(target: Path) -> bool:
    return not any((target / path).exists() for path in model() if path != "empty")


@pytest.mark.parametrize(
    "faults",
    [
        {"resets": 4},
        {"truncated": 4},
        {"stalls": 2},
        {"refusals": 3, "status": 503},
        {"refusals": 2, "status": 429, "retry_after": "1"},
        {"no_ranges": True},
        {"no_length": True},
        {"no_ranges": True, "no_length": True},
        {"no_ranges": True, "resets": 2},
    ],
    ids=str,
)
def test_a_lone_hub_that_recovers(hub: Hub, tmp_path: Path, faults: dict[str, object]) -> None:
    for name, value in faults.items():
        setattr(hub.faults, name, value)
    target = tmp_path / "model"
    ended = fetch(
        "--entry",
        write_entry(tmp_path, model()),
        "--source",
        hub.url,
        "--target",
        target,
        *QUICK,
        "--tries",
        "8",
    )
    assert ended.code == 0, ended.errors
    assert holds(target, model())


def test_a_hub_that_always_breaks_off_is_asked_for_no_byte_twice(hub: Hub, tmp_path: Path) -> None:
    hub.faults.truncated, hub.faults.after = -1, 300_000  # less than one piece of the journal
    files = {"model.bin": model()["model.bin"]}
    target = tmp_path / "model"
    words = ("--entry", write_entry(tmp_path, files), "--source", hub.url, "--target", target)
    ended = fetch(*words, *QUICK, "--connections", "1")
    assert ended.code == 0, ended.errors
    assert holds(target, files)
    assert hub.sent == len(files["model.bin"])


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"wrong": set(model())}, "other bytes"),
        ({"page": True}, "web page"),
        ({"missing": {"model.bin"}}, "404"),
        ({"commit": "d" * 40}, "commit dddddddddddd"),
        ({"encoded": True}, "gzip-encoded"),
        ({"refusals": -1, "status": 503}, "3 times in a row"),
        ({"refusals": -1, "status": 429, "retry_after": "86400"}, "86400 s of rest"),
        ({"stalls": -1, "after": 0}, "3 times in a row"),
    ],
    ids=str,
)
def test_a_lone_hub_that_does_not(hub: Hub, tmp_path: Path, faults: dict[str, object], said: str) -> None:
    for name, value in faults.items():
        setattr(hub.faults, name, value)
    target = tmp_path / "model"
    files = {"model.bin": model()["model.bin"]}
    words = ("--entry", write_entry(tmp_path, files), "--source", hub.url, "--target", target)
    ended = fetch(*words, *QUICK)
    assert ended.code == 1
    assert said in ended.errors
    assert "Remedy" in ended.errors
    assert nothing_is_in_place(target)
    assert fetch(*words, "--check").code == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"wrong": {"model.bin", "config.json"}},
        {"page": True},
        {"missing": {"model.bin"}},
        {"commit": "d" * 40},
        {"encoded": True},
        {"refusals": -1},
        {"refusals": -1, "retry_after": "60"},
        {"stalls": -1},
        {"rate": 20_000.0},
        {"rate": 1.0, "rate_after": 2 * MIB},
        {"no_ranges": True},
    ],
    ids=str,
)
def test_the_second_source_steps_in(hub: Hub, mirror: Hub, tmp_path: Path, faults: dict[str, object]) -> None:
    for name, value in faults.items():
        setattr(hub.faults, name, value)
    target = tmp_path / "model"
    entry = write_entry(tmp_path, model())
    ended = fetch("--entry", entry, "--source", hub.url, "--source", mirror.url, "--target", target, *QUICK)
    assert ended.code == 0, ended.errors
    assert holds(target, model())
    assert mirror.asked_for("model.bin")


def test_of_two_sources_that_both_gave_some_the_liar_is_found(hub: Hub, mirror: Hub, tmp_path: Path) -> None:
    files = {"model.bin": model()["model.bin"]}
    hub.faults.wrong, hub.faults.rate, hub.faults.rate_after = {"model.bin"}, 1.0, 3 * MIB
    mirror.faults.rate = 8e6
    target = tmp_path / "model"
    entry = write_entry(tmp_path, files)
    ended = fetch("--entry", entry, "--source", hub.url, "--source", mirror.url, "--target", target, *QUICK)
    assert ended.code == 0, ended.errors
    assert holds(target, files)
    assert ended.named("quarantined")
    assert (target / ".sightline-fetch" / "quarantine" / "model.bin").stat().st_size == len(
        files["model.bin"]
    )


def test_a_listing_that_is_a_page_is_a_clear_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults.unlisted = True
    words = ("--repo", "owner/model", "--revision", COMMIT, "--source", hub.url)
    ended = fetch(*words, "--target", tmp_path / "model")
    assert ended.code == 1
    assert "not JSON" in ended.errors


def test_a_full_disk_is_refused_before_a_byte_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    entry = write_entry(tmp_path, {"config.json": b"{}"})
    entry.write_text(entry.read_text().replace('"size": 2', '"size": 900000000000000'))
    ended = fetch("--entry", entry, "--source", hub.url, "--target", tmp_path / "model")
    assert ended.code == 1
    assert "has" in ended.errors
    assert "free" in ended.errors
    assert hub.requests == []
