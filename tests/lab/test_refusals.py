"""Where a lab cannot run, and where words are wrong, one line says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.host import Host, Lab
from tests.lab.place import CHECKOUT


def _ended(*command: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    print(ended.stdout, ended.stderr)
    return ended


def test_without_root_it_says_so_in_one_line(tmp_path: Path) -> None:
    # In a new user namespace nobody is root, whoever starts it.
    ended = _ended("unshare", "--user", "scripts/lab", "--folder", str(tmp_path / "lab"), "up")

    assert (ended.returncode, ended.stdout) == (3, "not run: needs root\n")
    assert not (tmp_path / "lab").exists()


def test_without_namespaces_it_says_why(lab_possible: None, tmp_path: Path) -> None:
    weak = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    ended = _ended(*weak, "scripts/lab", "--folder", str(tmp_path / "lab"), "up")

    assert ended.returncode == 3
    assert ended.stdout.startswith("not run: needs root that may make namespaces and mounts (")
    assert len(ended.stdout.splitlines()) == 1


def test_tests_that_need_a_lab_are_listed_as_not_run(tmp_path: Path) -> None:
    import sys

    report = tmp_path / "report.xml"
    words = ["-q", "-p", "no:cacheprovider", "--junitxml", str(report), "tests/lab/test_people.py"]
    ended = _ended("unshare", "--user", sys.executable, "-m", "pytest", *words)
    assert ended.returncode == 0
    told = _ended(sys.executable, "tests/tally.py", str(tmp_path)).stdout

    assert "test_sudo_makes_the_difference, because needs root" in told
    assert told.splitlines()[-1].startswith("0 passed, 0 failed, ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "debian11"], "no kind of host is called 'debian11'; there are: debian12, "),
        (["up", "Web=debian12"], "small letters"),
        (["up", "--size", "big", "debian12"], "a size is a number"),
        (["ssh", "debian12", "true"], "no host is called 'debian12'"),
        (["slow", "debian12"], "--latency, --loss or both"),
        (["slow", "debian12", "--latency", "100"], "with a unit"),
        (["slow", "debian12", "--loss", "101%"], "percentage"),
        (["full", "debian12", "/"], "no host is called 'debian12'"),
        (["restart", "debian12"], "no host is called 'debian12'"),
    ],
)
def test_wrong_words_are_refused(words: list[str], said: str, lab_possible: None, tmp_path: Path) -> None:
    ended = _ended("scripts/lab", "--folder", str(tmp_path / "lab"), *words)

    assert ended.returncode == 1
    assert ended.stderr.startswith("lab: ")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_down_without_a_lab_is_no_error(tmp_path: Path) -> None:
    ended = _ended("scripts/lab", "--folder", str(tmp_path / "lab"), "down")
    assert (ended.returncode, ended.stdout) == (0, "gone: nothing ran\n")


def test_a_name_keeps_its_kind(lab: Lab, debian12: Host) -> None:
    ended = _ended("scripts/lab", "--folder", str(lab.place.folder), "up", "debian12=debian13")
    assert ended.returncode == 1
    assert "runs already, as debian12" in ended.stderr


def test_the_help_teaches() -> None:
    told = _ended("scripts/lab", "--help").stdout
    for word in ("rented", "noroot", "scripts/lab up debian12", "exit codes", "--latency 100ms"):
        assert word in told
