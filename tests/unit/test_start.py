"""What the starts of other people's servers share: the key file, and words of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from sightline_start.errors import StartError
from sightline_start.keys import read_keys
from sightline_start.words import address, count, port


def test_keys_are_read_as_sightline_serve_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# who\nsk-plain\n\nalice sk-named\n")
    assert read_keys(file) == ["sk-plain", "sk-named"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "holds no key"),
        ("# sk-secret\n", "holds no key"),
        ("a b sk-secret\n", "line 1"),
        ("sk-secrét\n", "ASCII"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_told_without_what_stands_in_it(
    tmp_path: Path, content: str, why: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(StartError, match=why) as problem:
        read_keys(file)
    assert "sk-secr" not in str(problem.value)


def test_words_that_mean_something() -> None:
    assert [address("127.0.0.1"), address("0:0::1")] == ["127.0.0.1", "::1"]
    assert [port("1"), port("65535"), count("1")] == [1, 65535, 1]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *[(address, text) for text in ("localhost", "", "1.2.3", "1.2.3.4:80")],
        *[(port, text) for text in ("0", "65536", "-1", "a", "")],
        *[(count, text) for text in ("0", "-1", "1.5", "")],
    ],
)
def test_words_that_mean_nothing(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no"):
        read(text)
