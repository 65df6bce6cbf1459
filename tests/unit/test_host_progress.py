"""The progress file: one line each, the end marked whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from sightline_host.progress import DONE, teller


def test_lines_can_be_read_while_it_works_and_the_end_is_marked(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    with teller(str(file)) as say:
        say("one")
        assert file.read_text() == "one\n"
        say("two\nin one line, é")
    assert file.read_text().splitlines() == ["one", "two in one line, é", DONE]


def test_the_end_is_marked_after_a_failure_too(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    with pytest.raises(ZeroDivisionError), teller(str(file)) as say:
        say(f"one {1 // 0}")
    assert file.read_text().splitlines() == [DONE]


def test_without_a_file_nothing_is_said() -> None:
    with teller(None) as say:
        say("one")
