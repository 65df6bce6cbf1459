"""One host gives others a model while it comes: the bytes of one, in about the time of one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fetching import COMMIT, MIB, Ended, content, environment, fetch, holds, start, write_entry
from hub import Hub, wait_until

FILES = {"model.bin": content(16 * MIB, 3), "second.bin": content(5 * MIB + 7, 4), "config.json": b"{}"}
TOTAL = sum(map(len, FILES.values()))
IN_FLIGHT = 2 * MIB
"""What the hub may have sent of ranges before their later halves went to other connections. Little to the 1%
of a real model, much to that of these files."""


@contextmanager
def shared(entry: Path, target: Path) -> Iterator[str]:
    """The source word of a server of `target`, as a process of its own."""
    words = ["--entry", str(entry), "--target", str(target), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline_fetch.share", *words],
        stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield f"mirror={process.stdout.readline().split()[-1]}"
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> Ended:
    _, errors = process.communicate(timeout=120)
    return Ended(process.returncode, [], errors)


def test_three_hosts_take_from_upstream_the_bytes_of_one_while_they_come(tmp_path: Path) -> None:
    entry = write_entry(tmp_path, FILES)
    with Hub(FILES) as hub, shared(entry, tmp_path / "0") as mirror:
        hub.faults.rate = 400_000
        others = [
            start(
                *("--entry", entry, "--source", mirror, "--target", tmp_path / str(n), "--tries", "64"),
                *("--last-source", hub.url),
            )
            for n in (1, 2)
        ]
        first = start("--entry", entry, "--source", hub.url, "--target", tmp_path / "0")
        parts = [tmp_path / f"{n}/.sightline-fetch/parts/model.bin.part.journal" for n in (1, 2)]
        # Pieces reach them while the first has none of its large files whole.
        assert wait_until(lambda: all(part.exists() and part.stat().st_size > 200 for part in parts))
        assert not (tmp_path / "0/second.bin").exists()
        hub.faults.rate = 1e12
        for process in (first, *others):
            result = ended(process)
            assert result.code == 0, result.errors
        assert hub.sent <= 1.01 * TOTAL + IN_FLIGHT
    for n in (0, 1, 2):
        assert holds(tmp_path / str(n), FILES)


def test_what_the_first_cannot_give_any_more_comes_from_the_last_resort(tmp_path: Path) -> None:
    entry = write_entry(tmp_path, FILES)
    (tmp_path / "0").mkdir()
    (tmp_path / "0/model.bin").write_bytes(FILES["model.bin"])
    with Hub(FILES) as hub, shared(entry, tmp_path / "0") as mirror:
        words = ("--entry", entry, "--source", mirror, "--target", tmp_path / "1", "--tries", "2")
        alone = fetch(*words, "--timeout", "1")
        assert alone.code == 1
        assert fetch(*words, "--timeout", "1", "--last-source", hub.url).code == 0
        assert hub.sent <= TOTAL - len(FILES["model.bin"]), "the large file was there to be had"
    assert holds(tmp_path / "1", FILES)


def test_a_model_that_is_whole_is_given_too(tmp_path: Path) -> None:
    entry = write_entry(tmp_path, FILES)
    with Hub(FILES) as hub:
        assert fetch("--entry", entry, "--source", hub.url, "--target", tmp_path / "0").code == 0
    with shared(entry, tmp_path / "0") as mirror:
        assert fetch("--entry", entry, "--source", mirror, "--target", tmp_path / "1").code == 0
    assert holds(tmp_path / "1", FILES)


def test_wrong_bytes_of_the_first_are_put_in_place_nowhere(tmp_path: Path) -> None:
    entry = write_entry(tmp_path, FILES)
    (tmp_path / "0").mkdir()
    for path, data in FILES.items():
        (tmp_path / "0" / path).write_bytes(data[:-1] + b"!")
    with shared(entry, tmp_path / "0") as mirror:
        told = fetch("--entry", entry, "--source", mirror, "--target", tmp_path / "1")
    assert told.code == 1
    assert "gives other bytes than the hash wants" in told.errors
    assert not any((tmp_path / "1" / path).exists() for path in FILES)


@pytest.mark.parametrize(
    "path",
    [
        "/owner/model/resolve/" + "d" * 40 + "/config.json",
        f"/owner/model/resolve/{COMMIT}/.sightline-fetch/verified.json",
        f"/owner/model/resolve/{COMMIT}/../entry.json",
        f"/owner/model/resolve/{COMMIT}/%2e%2e/entry.json",
        "/",
    ],
)
def test_nothing_but_the_entrys_files_is_given(tmp_path: Path, path: str) -> None:
    entry = write_entry(tmp_path, FILES)
    (tmp_path / "0").mkdir()
    (tmp_path / "0/config.json").write_bytes(b"{}")
    with shared(entry, tmp_path / "0") as mirror:
        url = mirror.partition("=")[2]
        for what, status in ((path, "404"), (f"/owner/model/resolve/{COMMIT}/config.json", "200")):
            asked = subprocess.run(
                ["curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", url + what],
                capture_output=True, text=True, env=environment(),
            )  # fmt: skip
            assert asked.stdout == status


def test_an_address_that_is_not_this_hosts_is_told(tmp_path: Path) -> None:
    entry = write_entry(tmp_path, FILES)
    for listen, why in (("192.0.2.1:1", "Cannot assign"), ("nowhere", "is no HOST:PORT")):
        words = ("--entry", entry, "--target", tmp_path)
        told = subprocess.run(
            [sys.executable, "-m", "sightline_fetch.share", "--listen", listen, *words],
            capture_output=True, text=True, env=environment(),
        )  # fmt: skip
        assert (told.returncode, why in told.stderr) == (2, True), told.stderr
