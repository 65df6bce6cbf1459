"""One process at a time, also when the one before was left alone, was killed, or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sightline_host.alone import StillAtWork, alone
from sightline_host.environment import EnvironmentProblem, Lock, build

UTILS = Path(__file__).resolve().parents[2] / "plugins/module_utils"
HOLDER = f"""
import sys, time
sys.path.insert(0, {str(UTILS)!r})
from pathlib import Path
from sightline_host.alone import alone
with alone(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holding(path: Path, seconds: float = 60) -> subprocess.Popen[str]:
    """Another process that works on `path`, already at it."""
    command = [sys.executable, "-c", HOLDER, str(path), str(seconds)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_the_second_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    other = holding(tmp_path / "it", 1)
    said: list[str] = []
    with alone(tmp_path / "it", said.append):
        assert other.wait(10) == 0
    assert len(said) == 1
    assert f"still at work on {tmp_path}/it (process {other.pid})" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    other = holding(tmp_path / "it")
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".it.lock").exists()
    said: list[str] = []
    with alone(tmp_path / "it", said.append):
        pass
    assert said == []
    assert not (tmp_path / ".it.lock").exists()


def test_one_that_hangs_is_named_in_the_end(tmp_path: Path) -> None:
    other = holding(tmp_path / "it")
    try:
        with (
            pytest.raises(StillAtWork, match=rf"process {other.pid}.* wait for it or stop it"),
            alone(tmp_path / "it", print, 0.3),
        ):
            pass
    finally:
        other.kill()
        other.wait()


def test_many_at_once_are_one_after_another(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with alone(tmp_path / "it", lambda _: None):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1


def test_a_child_does_not_keep_it(tmp_path: Path) -> None:
    with alone(tmp_path / "it", print):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with alone(tmp_path / "it", print, 0.3):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".it.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"), alone(tmp_path / "it", print):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_environment_that_another_run_is_building_is_not_built_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = holding(tmp_path / "env")
    monkeypatch.setattr("sightline_host.environment.alone", lambda path, say: alone(path, say, 0.3))
    try:
        with pytest.raises(EnvironmentProblem, match=f"process {other.pid}"):
            build(tmp_path / "env", sys.executable, [Lock("none", "")], print)
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert not (tmp_path / "env").exists()
