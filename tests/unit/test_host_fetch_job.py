"""A fetch in the background: started once, joined, ended, and cut off; the program is a stand-in for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sightline_host.fetch_job import (
    KIT,
    JobProblem,
    choose_python,
    ended_with,
    is_at_work,
    start,
    stop,
    stop_all,
    wait,
)
from sightline_host.folder import Contents, Manifest, describe, pack

PROGRAM = """
import os, sys, time
print("words", sys.argv[1:], "token", bool(os.environ.get("HF_TOKEN")), flush=True)
if "--sleep" in sys.argv:
    time.sleep(60)
if "--stubborn" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
sys.exit(3 if "--fail" in sys.argv else 0)
"""
Kit = tuple[Path, Manifest]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    contents = Contents(extra={"sightline_fetch/__main__.py": PROGRAM, "entry.json": "{}"})
    manifest = describe(contents)
    archive = tmp_path / "kit.tgz"
    archive.write_bytes(pack(contents, manifest))
    return archive, manifest


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root/fetch/model"
    yield folder
    stop(folder)


def begin(job: Path, kit: Kit, *words: str, token: str = "") -> bool:
    return start(job, *kit, sys.executable, words, {"HF_TOKEN": token} if token else {})


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_it_runs_to_its_end_and_leaves_its_log(job: Path, kit: Kit) -> None:
    assert begin(job, kit, "--target", "x")
    assert wait(job, 20) == 0
    assert "words ['--target', 'x'] token False" in (job / "log").read_text()
    assert not (job / KIT).exists(), "the program and the files that were sent go when all is whole"


def test_a_failure_is_told_by_its_exit_code_and_the_next_start_begins_anew(job: Path, kit: Kit) -> None:
    begin(job, kit, "--fail")
    assert wait(job, 20) == 3
    assert begin(job, kit)
    assert wait(job, 20) == 0


def test_one_at_work_is_joined_and_one_with_other_words_is_ended(job: Path, kit: Kit) -> None:
    assert begin(job, kit, "--sleep")
    first = (job / "pid").read_text()
    assert not begin(job, kit, "--sleep")
    assert (job / "pid").read_text() == first
    assert begin(job, kit, "--sleep", "--limit-rate", "1M")
    assert (job / "pid").read_text() != first
    assert not Path(f"/proc/{first.strip()}").exists() or until(
        lambda: "zombie" in Path(f"/proc/{first.strip()}/status").read_text()
    )


def test_another_token_is_another_fetch_and_none_is_ever_written(job: Path, kit: Kit) -> None:
    secret = "hf_" + "s3cret" * 5
    begin(job, kit, "--sleep", token=secret)
    assert until(lambda: "token True" in (job / "log").read_text())
    assert not begin(job, kit, "--sleep", token=secret)
    written = b"".join(file.read_bytes() for file in job.rglob("*") if file.is_file())
    assert secret.encode() not in written
    pid = (job / "pid").read_text().strip()
    assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert begin(job, kit, "--sleep", token="hf_other")


def test_one_that_was_killed_has_not_ended_and_is_started_anew(job: Path, kit: Kit) -> None:
    begin(job, kit, "--sleep")
    os.killpg(int((job / "pid").read_text()), signal.SIGKILL)
    assert until(lambda: not is_at_work(job))
    assert ended_with(job) is None
    assert begin(job, kit)
    assert wait(job, 20) == 0


def test_a_stale_number_of_another_process_is_not_ended(job: Path, kit: Kit) -> None:
    begin(job, kit)
    wait(job, 20)
    (job / "pid").write_text(f"{os.getpid()}\n")
    assert not stop(job)


def test_all_are_ended_also_one_that_does_not_listen(
    job: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline_host.fetch_job._STOP_SECONDS", 1.0)
    begin(job, kit, "--stubborn")
    assert until(lambda: "words" in (job / "log").read_text())
    stop_all(job.parent)
    assert not is_at_work(job)
    stop_all(job.parent / "none")


def test_one_that_cannot_be_ended_is_told(job: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(job, kit, "--sleep")
    with monkeypatch.context() as patched:
        patched.setattr("sightline_host.fetch_job._STOP_SECONDS", 0.2)
        patched.setattr("sightline_host.fetch_job.os.killpg", lambda pid, number: None)
        with pytest.raises(JobProblem, match="does not end: end it"):
            stop(job)


def test_a_python_that_is_new_enough_is_chosen(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert choose_python(["", str(tmp_path / "none"), str(old), sys.executable]) == sys.executable
    assert choose_python([str(old)]) == ""
