"""What `scripts/plan --json` prints is what docs/plan.md says it prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.quote.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
SEED = ["--model", "llama-3.2-90b-vision-bnb-4bit", "--context", "8192", "--pictures", "4"]
SEED += ["--line", "1gbit", "--price-per-hour", "2.5"]
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """For each top-level key the keys that its row names, from the section for programs."""
    text = (CHECKOUT / "docs/plan.md").read_text(encoding="utf-8")
    section = text.split("## For programs")[1].split("\n## ")[0]
    found: dict[str, set[str]] = {}
    for keys, holds in ROW.findall(section):
        named = re.findall(r"`(\w+)`", keys)
        found |= {key: set(re.findall(r"`(\w+)`", holds)) for key in named}
    return found


def keys_within(value: Any) -> Iterator[str]:
    """Every key of an object, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_within(inner)


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """A yes and a no, which together hold every key."""
    found = []
    for card, status in (("h100-80g", 0), ("rtx-4090", 1)):
        assert main([*SEED, "--gpu", card, "--json"]) == status
        found.append(json.loads(capsys.readouterr().out))
    return found


def test_every_key_is_documented_and_every_documented_key_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, both = documented(), answers(capsys)
    assert len(table) >= 13
    for answer in both:
        assert set(answer) == set(table)
    for key, named in table.items():
        if isinstance(both[0][key], (dict, list)):
            assert {inner for answer in both for inner in keys_within(answer[key])} == named, key


def test_the_list_of_cards_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--model", "canary", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"schema", "model", "cards"}
    assert set(found["cards"][0]) == documented()["fit"]


def test_what_went_wrong_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "nobody", "--gpu", "l4", "--json"]) == 2
    assert not capsys.readouterr().out
