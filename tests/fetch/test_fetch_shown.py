"""What a fetch says: sentences and a rate for people, facts for programs."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fetching import MIB, content, environment, fetch, write_entry
from hub import Hub
from sightline_fetch.pace import RateLimit, backoff
from sightline_fetch.progress import Progress, amount, clock
from sightline_fetch.spans import Job
from sightline_fetch.wanted import WantedFile


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (999, "999 B"), (4_947_107_668, "4.95 GB"), (48_900_000_000, "48.9 GB")]
)
def test_amounts(size: float, said: str) -> None:
    assert amount(size) == said


@pytest.mark.parametrize(("seconds", "said"), [(None, "?"), (59, "0:59"), (3723, "1:02:03")])
def test_clocks(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said


def test_bars_are_drawn_over_the_last_ones() -> None:
    out = io.StringIO()
    progress = Progress("bars", total=200, before=100, out=out)
    job = Job(WantedFile("model.bin", 100, "0" * 64))
    job.state = "fetching"
    progress.tick([job])
    progress.tell("file", file="model.bin", size=100, sources=[])
    told = out.getvalue()
    assert "model.bin" in told
    assert " 50%" in told  # 100 of 200 bytes were there before
    assert "\x1b[2A\x1b[J" in told  # two bars: the file's and that of all
    assert told.endswith("model.bin: whole and verified, 100 B\n")


def test_what_an_earlier_run_brought_is_no_part_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    progress = Progress("json", total=10_000, before=0, out=out)
    job = Job(WantedFile("empty", 0, "0" * 64))
    job.state = "fetching"
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress.tick([job])
    progress.tell("resumed", file="model.bin", bytes=9_000, size=10_000)
    done = [9_500]
    monkeypatch.setattr(Job, "received", property(lambda self: done[0]))
    now[0] = 105.0
    progress.tick([job])
    assert '"done": 9500, "total": 10000, "rate": 100' in out.getvalue()  # 500 bytes in 5 s
    assert '"seconds_left": 5' in out.getvalue()


def test_json_lines_hold_the_rate(tmp_path: Path) -> None:
    files = {"model.bin": content(6 * MIB, 9)}
    with Hub(files) as hub:
        hub.faults.rate = 1e6
        ended = fetch(
            "--entry", write_entry(tmp_path, files), "--source", hub.url, "--target", tmp_path / "m"
        )
    shown = ended.named("progress")
    assert len(shown) >= 2
    assert shown[-1]["total"] == 6 * MIB
    assert any(int(str(told["rate"])) > 0 for told in shown)


def test_people_read_sentences(tmp_path: Path) -> None:
    files = {"config.json": b"{}"}
    with Hub(files) as hub:
        words = [
            "--entry",
            str(write_entry(tmp_path, files)),
            "--source",
            hub.url,
            "--target",
            str(tmp_path / "m"),
        ]
        command = [sys.executable, "-m", "sightline_fetch", *words]
        told = subprocess.run(command, capture_output=True, text=True, env=environment())
        assert told.stdout == ""
        assert (
            "owner/model cccccccccccc: 1 files, 2 B, 2 B to fetch; sizes and hashes from the catalogue"
            in (told.stderr)
        )
        assert "all 1 files are whole and verified" in told.stderr
        quiet = subprocess.run([*command, "--quiet"], capture_output=True, text=True, env=environment())
        assert quiet.stdout + quiet.stderr == ""


def test_the_rate_limit_asks_for_the_time_that_the_bytes_take(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", waits.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    limit = RateLimit(1000.0)
    for _ in range(3):
        limit.pass_through(500, stop)
    assert waits == [0.5, 1.0]  # the first 500 bytes pass, the next wait for those before them


def test_the_wait_doubles_and_never_undercuts_retry_after() -> None:
    for failures, most in ((1, 0.25), (2, 0.5), (3, 1.0), (20, 60.0)):
        assert all(most / 2 <= backoff(failures) <= most for _ in range(50))
    assert all(7.0 <= backoff(1, 7.0) <= 7.7 for _ in range(50))
