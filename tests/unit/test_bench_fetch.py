"""`scripts/bench fetch`: the relay delays and bounds what it hands on, and the ratios are those of rounds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from sightline.bench.fetch.command import lines
from sightline.bench.fetch.measure import OnLink, programs
from sightline.bench.fetch.relay import CHUNK, Link
from sightline.bench.samples import samples
from tests.stand_ins.hub import Hub

CHECKOUT = Path(__file__).resolve().parents[2]


def on_link(**times: list[float]) -> OnLink:
    return OnLink("loopback", 100_000_000, {name.replace("_", "-"): samples(v) for name, v in times.items()})


def test_the_share_is_of_the_best_rival_of_the_same_round() -> None:
    """Rounds of 2, 4, 10 s against the better of (1, 9), (4, 5), (9, 9.5): 0.5, 1, 0.9 of the rate."""
    found = on_link(sightline_fetch=[2.0, 4.0, 10.0], curl=[1.0, 5.0, 9.5], aria2=[9.0, 4.0, 9.0])
    assert found.shares.values == (0.5, 1.0, 0.9)
    assert found.kept
    assert not on_link(sightline_fetch=[2.0], curl=[1.0]).kept
    assert "budget kept" in lines(found)[-1]
    assert "25 MB/s" in lines(found)[1], "100 MB in a median of 4 s"


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
