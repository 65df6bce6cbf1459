"""`scripts/bench fetch`: the relay delays and bounds what it hands on, and the ratios are those of rounds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from sightline.bench.errors import BenchError
from sightline.bench.fetch.command import lines
from sightline.bench.fetch.measure import OURS, SURE, OnLink, measure, programs
from sightline.bench.fetch.relay import CHUNK, Link
from sightline.bench.samples import samples
from tests.stand_ins import serve_hub
from tests.stand_ins.hub import Hub

CHECKOUT = Path(__file__).resolve().parents[2]


def on_link(ours: list[float], **rivals: list[float]) -> OnLink:
    """Rivals need a second for the hash and one for the sync; ours held 28 MB."""
    times = {OURS: samples(ours)} | {name: samples(values) for name, values in rivals.items()}
    times |= {name + SURE: samples([value + 2 for value in values]) for name, values in rivals.items()}
    return OnLink("loopback", 100_000_000, times, {OURS: 28_000_000})


def test_the_share_is_of_the_best_rival_of_the_same_round() -> None:
    """Rounds of 2, 4, 10 s against the better of (1, 9), (4, 5), (9, 9.5): 0.5, 1, 0.9 of the rate."""
    found = on_link([2.0, 4.0, 10.0], curl=[1.0, 5.0, 9.5], aria2=[9.0, 4.0, 9.0])
    assert found.shares.values == (0.5, 1.0, 0.9)
    assert found.kept
    assert not on_link([2.0], curl=[1.0]).kept
    told = lines(found)
    assert "budget kept" in told[-2]
    assert "25 MB/s; peak 28 MB" in told[1], "100 MB in a median of 4 s"


def test_beside_it_stands_the_share_of_rivals_that_do_the_same() -> None:
    """Rounds of 2, 4, 10 s against (3, 11), (7, 6), (11.5, 11) with hash and sync: 1.5, 1.5, 1.1."""
    found = on_link([2.0, 4.0, 10.0], curl=[1.0, 5.0, 9.5], aria2=[9.0, 4.0, 9.0])
    assert found.same_work.values == (1.5, 1.5, 1.1)
    assert lines(found)[-1] == "  1.50 (1.10-1.50) of the best that hashes and syncs too"
    kept = on_link([2.0], curl=[1.0])
    assert kept.same_work.values == (1.5,)
    assert not kept.kept, "the budget knows no excuse"


def test_a_link_lets_its_rate_pass_for_all_connections_together() -> None:
    link = Link(rate=1_000_000, delay=0.5)
    now = time.monotonic()
    due = [link.due(100_000) for _ in range(10)]
    # Ten chunks of a tenth of a second each, and half a second on the way.
    assert due[-1] - now == pytest.approx(1.5, abs=0.05)
    assert [round(later - earlier, 6) for earlier, later in pairwise(due)] == [0.1] * 9


def test_bytes_come_through_the_relay_as_they_were_and_later() -> None:
    data = bytes(range(256)) * (4 * CHUNK // 256)
    with Hub({"model.bin": data}) as hub:
        port = hub.url.rpartition(":")[2]
        words = ["-m", "sightline.bench.fetch.relay", port, "1e9", "0.2"]
        relay = subprocess.Popen([sys.executable, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        try:
            assert relay.stdout is not None
            near = relay.stdout.readline().strip()
            url = f"http://127.0.0.1:{near}/owner/model/resolve/{'c' * 40}/model.bin"
            began = time.monotonic()
            got = subprocess.run(["curl", "-sSf", url], capture_output=True, check=True, timeout=30).stdout
        finally:
            relay.kill()
            relay.wait()
    assert got == data
    assert time.monotonic() - began >= 0.4, "there and back are 0.2 s each"


def test_every_program_is_asked_for_the_same_file(tmp_path: Path) -> None:
    hub = {"repo": "owner/model", "commit": "c" * 40, "path": "model.bin", "size": 5, "sha256": "0" * 64}
    found = programs(tmp_path, "http://127.0.0.1:1", hub)
    assert list(found)[:2] == ["sightline-fetch", "curl"]
    assert found["curl"][-1] == f"http://127.0.0.1:1/owner/model/resolve/{'c' * 40}/model.bin"
    assert json.loads((tmp_path / "entry.json").read_text())["files"][0]["sha256"] == "0" * 64


def test_a_file_that_is_not_the_hubs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for curl that brings nothing but says that all is well."""
    bad = tmp_path / "bin"
    bad.mkdir()
    (bad / "curl").write_text('#!/bin/sh\n[ "$2" = -o ] && echo wrong > "$3"\n')
    (bad / "curl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bad}:/usr/bin:/bin")
    with pytest.raises(BenchError, match="curl did not bring the file"):
        measure(tmp_path / "folder", "loopback", 1_000_000, 1, lambda line: None)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_hub_of_the_bench_serves_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sparse: bool
) -> None:
    monkeypatch.setattr(serve_hub, "IN_MEMORY", 0 if sparse else 10_000_000)
    with Hub({"model.bin": serve_hub.content(3_000_001)}) as hub:
        url = f"{hub.url}/owner/model/resolve/{'c' * 40}/model.bin"
        got = subprocess.run(["curl", "-sSf", url], capture_output=True, check=True, timeout=30).stdout
    assert len(got) == 3_000_001
    assert hashlib.sha256(got).hexdigest() == hub.digest("model.bin")
    assert len({got[first : first + 64] for first in range(0, 3_000_000, 1 << 20)}) == 3
