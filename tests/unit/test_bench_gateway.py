"""scripts/bench gateway: what it makes of its figures, what it sends, and the gateway that it starts."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.bench.errors import BenchError
from sightline.bench.gateway.caddyfile import write_caddyfile
from sightline.bench.gateway.command import lines, missed
from sightline.bench.gateway.measure import Asked, added
from sightline.bench.gateway.ways import DIRECTLY, GATEWAY, TLS, Canary, Weight, _gateway
from sightline.bench.serve.load import Answer, Round, play
from sightline.bench.serve.subjects import Subject
from tests.stand_ins.endpoint import KEY, EndpointStandIn

SMALL = Weight(300 * 10**6, 40 * 10**6)


def round_of(seconds: float, *wholes: float) -> Round:
    """Answers that took `wholes` seconds each, the first text half of it."""
    return Round(seconds, tuple(Answer(whole / 2, whole, 3, right=True) for whole in wholes))


FOUND = [
    Asked(DIRECTLY, 1, (round_of(0.5, 0.10, 0.10), round_of(1.0, 0.20, 0.20))),
    Asked(GATEWAY, 1, (round_of(1.0, 0.14, 0.14), round_of(1.25, 0.26, 0.26))),
    Asked(TLS, 1, (round_of(1.0, 0.15, 0.15), round_of(2.0, 0.35, 0.35))),
]
"""By hand: the gateway adds 40 and 60 ms, the median of which is 50; its first texts come 20 and 30 ms later.
Requests a second: directly 4 and 2, through the gateway 2 and 1.6.
"""


def test_what_is_added_is_told_round_by_round() -> None:
    gateway, tls = added(FOUND)
    assert (gateway.way, tls.way) == (GATEWAY, TLS)
    assert gateway.answer.values == pytest.approx((0.04, 0.06))
    assert gateway.first.values == pytest.approx((0.02, 0.03))
    assert gateway.rate.values == pytest.approx((0.5, 0.8))
    assert tls.answer.median == pytest.approx(0.10)
    # The 99th percentiles lie at 0.26 and 0.20: each has its last two answers alike.
    assert gateway.slowest == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("start", "weight", "late"),
    [
        (19.9, SMALL, []),
        (20.1, SMALL, ["start"]),
        (8.0, Weight(421 * 10**6, 0), ["memory"]),
        (8.0, Weight(419 * 10**6, 90 * 10**6), []),  # Caddy is not counted
    ],
)
def test_budgets(start: float, weight: Weight, late: list[str]) -> None:
    costs = added(FOUND)
    assert missed(costs, start, weight) == late
    slower = [FOUND[0], Asked(GATEWAY, 1, (round_of(1.0, 0.2, 0.2), round_of(1.0, 0.3, 0.3)))]
    assert missed(added(slower), start, weight) == ["added", *late]


def test_the_result_as_people_read_it() -> None:
    told = "\n".join(lines(FOUND, added(FOUND), 8.04, SMALL))
    assert re.search(r"gateway, 1 at once: an answer \+50 ms later \(\+40 ms to \+60 ms\)", told)
    assert "first text +25 ms, p99 +60 ms; 0.65 (0.50-0.80) of the requests/s; budget kept" in told
    assert "first answer 8.0 s after its start; budget kept: at most 20 s" in told
    assert "it holds 300 MB, Caddy 40 MB more; budget kept: at most 420 MB" in told
    assert "budget MISSED: at most 20 s" in "\n".join(lines(FOUND, added(FOUND), 21.0, SMALL))


def test_the_key_goes_with_every_request() -> None:
    subject = Subject("stand-in", "llava", Path("stand-in"), None, "What is it?", sees=True)
    with EndpointStandIn(lambda body: "red").serve() as stand_in:
        base = stand_in.base_url.removesuffix("/v1")
        headers = {"Authorization": f"Bearer {KEY}"}
        assert len(play(base, subject, 1, 2, 8, 0, headers=headers).answers) == 2
        with pytest.raises(BenchError, match="401"):
            play(base, subject, 1, 1, 8, 0)


@pytest.mark.parametrize("caddy", [True, False])
def test_the_gateway_is_started_as_it_is_deployed(tmp_path: Path, caddy: bool) -> None:
    peer, outer = _gateway("http://127.0.0.1:4711", "sk-bench", caddy, tmp_path)
    canary = Canary("canary", "llava", tmp_path, None, "What is it?", sees=True)
    words = peer.command(tmp_path, canary, 4712, 4)
    assert "sk-bench" not in " ".join(words)
    assert stat.S_IMODE(os.stat(tmp_path / "keys").st_mode) == 0o600
    settings = json.loads((tmp_path / "gateway.json").read_text())
    assert settings["replicas"] == [
        {"name": "one", "url": "http://127.0.0.1:4711/v1", "model": canary.asked_as}
    ]
    assert ("--caddyfile" in words) is caddy
    if caddy:
        written = (tmp_path / "Caddyfile").read_text()
        assert f"https://127.0.0.1:{outer} {{" in written
        assert "reverse_proxy 127.0.0.1:4712 {" in written


def test_the_caddyfile_limits_bodies_and_says_413(tmp_path: Path) -> None:
    """tests/gateway/test_gateway_clients.py asks a real Caddy."""
    written = write_caddyfile(tmp_path, 8443, 4000, "3MB").read_text()
    assert "max_size 3MB" in written
    assert re.search(r"@large expression .*413.*\n.*\n.*\n\t+respond `\{.*3MB.*\}` 413\n", written)
    (told,) = re.findall(r"respond `(.*)` 413", written)
    assert json.loads(told)["error"]["code"] == "request_too_large"


@pytest.mark.parametrize("words", [["--requests", "0"], ["--rounds", "many"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sightline.bench", "gateway", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert words[1] in ended.stderr
