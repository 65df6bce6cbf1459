"""sightline-llamacpp without llama.cpp: which files it takes, which keys, which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from sightline_llamacpp.cli import main, settings_from
from sightline_llamacpp.pair import find_pair
from sightline_start.errors import StartError


def files(folder: Path, *names: str, content: bytes = b"GGUF\x03\x00\x00\x00") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("names", "model", "projector"),
    [
        (("llava-q4.gguf", "mmproj-f16.gguf"), "llava-q4.gguf", "mmproj-f16.gguf"),
        (("gguf/a.gguf", "gguf/a.mmproj.gguf", "config.json"), "gguf/a.gguf", "gguf/a.mmproj.gguf"),
        (
            ("b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "mmproj-b.gguf"),
            "b-00001-of-00002.gguf",
            "mmproj-b.gguf",
        ),
    ],
)
def test_the_pair_is_found(tmp_path: Path, names: tuple[str, ...], model: str, projector: str) -> None:
    found = find_pair(files(tmp_path, *names))
    assert (found.model, found.projector) == (tmp_path / model, tmp_path / projector)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((), "no language model"),
        (("mmproj-a.gguf",), "no language model"),
        (("a.gguf",), "no projector"),
        (("a.gguf", "b.gguf", "mmproj-a.gguf"), "more than one language model: a.gguf, b.gguf"),
        (("a.gguf", "mmproj-a.gguf", "mmproj-b.gguf"), "more than one projector"),
    ],
)
def test_no_pair_or_a_choice_is_told(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    with pytest.raises(StartError, match=why):
        find_pair(files(tmp_path, *names))


def test_a_page_in_place_of_the_model_is_told(tmp_path: Path) -> None:
    files(tmp_path, "mmproj-a.gguf")
    files(tmp_path, "a.gguf", content=b"<!doctype html>")
    with pytest.raises(StartError, match=r"a\.gguf is no GGUF file"):
        find_pair(tmp_path)
    with pytest.raises(StartError, match="no such folder"):
        find_pair(tmp_path / "none")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--host", "example"], "no IP address"),
        (["--port", "0"], "no port"),
        (["--max-num-seqs", "0"], "no number"),
        (["--max-images", "3"], "unrecognized"),
    ],
)
def test_wrong_words_are_refused(capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    with pytest.raises(SystemExit) as ended:
        settings_from(["--model", "somewhere", *words])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_what_cannot_start_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("sightline-llamacpp: --model")
    assert said.count("\n") == 1
