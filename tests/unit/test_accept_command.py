"""The command: words, verdicts and exit codes, and what it prints. The box is this machine's shell."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sightline.accept import cli
from sightline.accept.address import Way
from sightline.accept.errors import NoAnswer
from sightline.accept.examine import RULES
from sightline.accept.findings import judge
from sightline.accept.render import as_text
from sightline.layout import CHECKOUT
from tests.stand_ins.box_shell import BoxShell
from tests.unit.accept_boxes import NEEDS, box, examined

PASSWORD = "a-secret-of-the-house"


class Doors:
    """Stands for `connect`: lets in to this machine's shell, and notes how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Way, str | None]] = []
        self.shell = BoxShell()
        self.problem: BaseException | None = None

    def __call__(self, way: Way, secret: str | None = None) -> Any:
        self.asked.append((way, secret))
        if self.problem:
            raise self.problem
        return self.shell


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Doors:
    made = Doors()
    monkeypatch.setattr(cli, "connect", made)
    return made


def test_json_for_programs(doors: Doors, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["me@box", "-p", "41022", "--disk", str(tmp_path), "--json"])
    out, said = capsys.readouterr()
    told = json.loads(out)
    assert told["box"] == "me@box:41022"
    assert {"accept": 0, "return": 1, "could not tell": 2}[told["verdict"]] == status
    assert told["needs"]["model"] == "canary"
    assert told["facts"]["disk"]["path"] == str(tmp_path)
    assert told["rates"]["disk_write"] > 0
    assert [finding["subject"] for finding in told["findings"]][:1] == ["GPUs"]
    assert "writing and reading" in said
    assert list(tmp_path.iterdir()) == []
    assert doors.shell.closed


def test_a_table_for_people(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["box", "--no-disk-test", "--quiet"])
    out, said = capsys.readouterr()
    assert said == ""
    first, second, *lines = out.splitlines()
    assert first in ("box: ACCEPT", "box: RETURN", "box: COULD NOT TELL")
    assert second == "  for canary in release cpu"
    assert any(line.startswith("  note  disk speed") and "not measured" in line for line in lines)
    assert lines[-1].endswith("nothing is left on the box")


def test_a_box_without_a_gpu_is_returned_for_a_model_that_needs_one(
    doors: Doors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of programs without nvidia-smi, so that this holds on a machine with a GPU too."""
    for name in (
        "cat",
        "cut",
        "date",
        "dd",
        "df",
        "env",
        "head",
        "id",
        "mkdir",
        "rm",
        "sed",
        "sh",
        "sleep",
        "tr",
    ):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec /usr/bin/env PATH=/usr/bin:/bin {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    doors.shell.environment = {"PATH": str(tmp_path)}
    arguments = ["box", "--model", "llama-3.2-90b-vision-bnb-4bit", "--no-disk-test", "--json"]
    assert cli.main(arguments) == 1
    told = json.loads(capsys.readouterr().out)
    assert "GPUs" in [reason["subject"] for reason in told["reasons"]]


def test_our_own_clock_counts(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["box", "--no-disk-test", "--json"], now=lambda: time.time() - 3600)
    clock = next(
        finding
        for finding in json.loads(capsys.readouterr().out)["findings"]
        if finding["subject"] == "clock"
    )
    assert clock["found"].startswith("3600.")
    assert clock["outcome"] != "good"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "USER@HOST"),
        (["a b"], "is no address"),
        (["-oProxyCommand=x"], "--help"),
        (["box", "-p", "70000"], "70000 is no port"),
        (["box:22", "-p", "23"], "two ports are given, 22 and 23"),
        (["box", "-p", "x"], "invalid int value"),
        (["box", "--model", "canari"], "did you mean 'canary'"),
        (["box", "--release", "nothing"], "there is no release called 'nothing'"),
        (
            ["box", "--model", "llama-3.2-90b-vision-bnb-4bit", "--release", "cpu"],
            "releases that serve it: seed-cu124",
        ),
        (["box", "--line-url", "ftp://mirror/x"], "is no address; write https://host/path"),
        (["box", "--line-url", "https://me:pw@mirror/x"], "with a password in it"),
        (["box", *(["--line-url", "https://mirror/x"] * 4)], "up to 3"),
        (["box", "--disk", "data"], "no absolute path"),
        (["box", "-o", "ProxyJump"], "is no option; write KEY=VALUE"),
        (["box", "--context", "0"], "is no number from 1 on"),
        (["box", "--nonsense"], "--help explains"),
    ],
)
def test_wrong_words(doors: Doors, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = cli.main(words)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert doors.asked == []


def test_no_way_in_is_no_verdict(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.problem = NoAnswer("nobody is there", "check the port")
    assert cli.main(["box"]) == 2
    told = capsys.readouterr()
    assert "accept: could not tell: nobody is there; check the port" in told.err
    assert told.out == ""


def test_a_person_who_stops_it_is_told_that_the_box_is_clean(
    doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    doors.problem = KeyboardInterrupt()
    assert cli.main(["box"]) == 2
    assert "the box cleans up after itself" in capsys.readouterr().err


def test_a_password_is_asked_for_and_told_nobody(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PASSWORD)
    cli.main(["me@box", "--ask-password", "--no-disk-test", "--json"])
    assert doors.asked[0][1] == PASSWORD
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err
    assert all(PASSWORD not in channel.sent for channel in doors.shell.channels)


def test_nobody_at_the_keyboard_is_no_verdict(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", ended)
    assert cli.main(["box", "--ask-password"]) == 2
    assert "no password came" in capsys.readouterr().err


def test_what_a_box_says_does_not_steer_the_terminal() -> None:
    name = 'PRETTY_NAME="Debian \x1b[2J\x1b]0;owned\x07"\n'
    looked = examined(box=box(**{"file /etc/os-release": name}))
    findings = judge(looked, NEEDS, RULES)
    told = as_text("box", looked, NEEDS, findings, 1.0)
    assert "Debian ?[2J?]0;owned?" in told
    assert all(letter.isprintable() or letter == "\n" for letter in told)


def test_a_reader_that_has_seen_enough() -> None:
    command = [sys.executable, "-m", "sightline.accept", "--help"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stderr is not None
        first.stdout.close()
        assert first.stderr.read() == b""


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for word in (
        "examples:",
        "exit status: 0 accept, 1 return, 2 could not tell",
        "--line-url",
        "--ask-password",
    ):
        assert word in told
