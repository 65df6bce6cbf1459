"""Commands that are timed, and of which nothing is left."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from sightline.bench.errors import BenchError
from sightline.bench.running import run


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # nobody has asked yet how it ended
            return True
        time.sleep(0.05)
    return False


def test_both_streams_and_the_exit_code_are_kept(tmp_path: Path) -> None:
    ended = run(["sh", "-c", "echo out; echo err >&2; exit 3"], folder=tmp_path)

    assert (ended.code, ended.output) == (3, "out\nerr\n")


def test_the_time_is_the_commands_own(tmp_path: Path) -> None:
    assert run(["sleep", "0.3"], folder=tmp_path).seconds >= 0.3


def test_the_peak_of_its_memory_is_seen(tmp_path: Path) -> None:
    holds = "import sys, time; held = bytearray(int(sys.argv[1])); time.sleep(0.3)"
    few, many = (run([sys.executable, "-c", holds, str(size)], folder=tmp_path).peak for size in (1, 10**8))
    assert many - few == pytest.approx(10**8, rel=0.01), "the kernel counts pages in batches"


def test_a_helper_that_stays_does_not_hold_it_up(tmp_path: Path) -> None:
    ended = run(["sh", "-c", "sleep 60 & echo $!"], folder=tmp_path, timeout=30)

    os.kill(int(ended.output), signal.SIGKILL)
    assert ended.code == 0


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    # The child heeds no SIGINT, as a background job of a shell.
    script = "sleep 60 & echo $! > child; wait"

    with pytest.raises(BenchError, match=r"`sh -c .*` did not end within 0.5 s"):
        run(["sh", "-c", script], folder=tmp_path, timeout=0.5)

    assert _gone(int((tmp_path / "child").read_text()))


def test_ctrl_c_ends_the_command_too(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "pid").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$ > new && mv new pid; exec sleep 60"], folder=tmp_path)

    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no-such-program cannot be started: No such file"):
        run(["no-such-program"], folder=tmp_path)


def test_the_environment_is_the_given_one(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    ended = run(words, folder=tmp_path, environment={"ONLY": "this"})

    assert "PATH" not in ended.output
    assert "ONLY" in ended.output
