"""scripts/bench serve: the load it makes, what it judges, what it makes of a server that fails."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from sightline.bench.errors import BenchError
from sightline.bench.samples import Samples
from sightline.bench.serve.command import lines, missed
from sightline.bench.serve.load import Round, play
from sightline.bench.serve.measure import ALONE, Measured, percentile, ratios
from sightline.bench.serve.peers import OURS, PEERS, Peer
from sightline.bench.serve.server import Server
from sightline.bench.serve.subjects import COLOURS, Subject, canary
from tests.stand_ins.endpoint import EndpointStandIn
from tests.stand_ins.liars import EmptyAnswers, Forward, Liar, ServerError
from tests.stand_ins.seeing_oracle import Body, image_urls

SUBJECT = Subject("stand-in", "llava", Path("stand-in"), None, "What is it?", sees=True)


def round_at(stand_in: EndpointStandIn, clients: int = 4, requests: int = 10) -> Round:
    base = stand_in.base_url.removesuffix("/v1")
    return play(base, SUBJECT, clients, requests, tokens=8, start=0)


def test_every_request_has_a_picture_of_its_own_and_no_more_than_the_clients_are_open() -> None:
    open_now, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def forward(body: Body) -> str:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        if len(stand_in.requests) <= 4:
            together.wait(10)  # all four clients are there at once, or this raises
        time.sleep(0.02)
        with lock:
            open_now -= 1
        return "it is red"

    with EndpointStandIn(forward, key=None).serve() as stand_in:
        found = round_at(stand_in, clients=4, requests=12)
    assert most == 4
    assert len(found.answers) == 12
    assert len({url for body in stand_in.requests for url in image_urls(body)}) == 12
    assert all(0 < answer.first <= answer.whole < found.seconds for answer in found.answers)


def test_an_answer_is_judged_by_its_own_picture() -> None:
    """Ten pictures go through five colours twice: who always says red is right twice."""
    assert list(COLOURS) == ["red", "green", "blue", "yellow", "black"]
    with EndpointStandIn(lambda body: "Red.", key=None).serve() as stand_in:
        assert round_at(stand_in).right == 2


class Failing(Liar):
    def __call__(self, body: Body, forward: Forward) -> str:
        raise ServerError


@pytest.mark.parametrize(
    ("liar", "why"), [(Failing(), "a request got 500"), (EmptyAnswers(), "no text"), (Liar(), "")]
)
def test_a_request_without_an_answer_ends_the_measurement(liar: Liar, why: str) -> None:
    ends = pytest.raises(BenchError, match=why) if why else nullcontext()
    with EndpointStandIn(lambda body: "red", liar=liar, key=None).serve() as stand_in, ends:
        round_at(stand_in)


class OnceOnly(BaseHTTPRequestHandler):
    """Answers one request of a connection, says nothing of closing it, and closes it at the next."""

    protocol_version = "HTTP/1.1"
    answered = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.answered:
            self.close_connection = True
            return
        self.answered = True
        body = b'data: {"choices": [{"delta": {"content": "red"}}]}\n\ndata: [DONE]\n\n'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Nothing on the terminal."""


def test_a_server_that_closes_connections_unasked_is_measured_all_the_same() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), OnceOnly) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            base = f"http://127.0.0.1:{server.server_port}"
            with pytest.raises(BenchError, match="broke off"):
                play(base, SUBJECT, 2, 8, tokens=8, start=0)
            assert len(play(base, SUBJECT, 2, 8, tokens=8, start=0, headers=ALONE).answers) == 8
        finally:
            server.shutdown()


def test_percentiles_by_hand() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([4.0, 1.0, 3.0, 2.0], 99) == pytest.approx(3.97)  # 0.99 x 3 = 2.97 steps above 1
    assert percentile([7.0], 99) == 7.0
    with pytest.raises(BenchError):
        percentile([], 50)


def measured(name: str, *per_second: float) -> Measured:
    return Measured(name, Samples(per_second), (0.1, 0.2), (0.3, 0.5), 2, 3 * 2**20, 4.0)


def test_a_budget_is_missed_by_the_median_of_the_rounds() -> None:
    found = [measured(OURS, 8.0, 9.0, 2.0), measured("transformers serve", 2.0, 2.0, 2.0)]
    found.append(measured("vLLM", 10.0, 10.0, 1.0))
    against = ratios(found)
    assert against["transformers serve"].values == (4.0, 4.5, 1.0)
    assert against["vLLM"].values == (0.8, 0.9, 2.0)
    assert missed(against) == ["vLLM"]
    told = "\n".join(lines(found, against))
    assert re.search(r"transformers serve: 4\.00 \(1\.00-4\.50\) times; budget kept: at least 4", told)
    assert re.search(r"vLLM: 0\.90 \(0\.80-2\.00\) times; budget MISSED: at least 1", told)
    assert ratios(found[1:]) == {}


def test_a_server_that_ends_is_told_with_its_last_words_and_leaves_nothing(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600']); sys.exit('no room for a model')"
    peer = Peer("broken", "none", lambda *_: [sys.executable, "-c", script])
    server = Server(peer, tmp_path, SUBJECT, 1, tmp_path / "log")
    with pytest.raises(BenchError, match="no room for a model"):
        server.wait_until_it_answers()
    server.end()
    deadline = time.monotonic() + 10
    while (left := _of_session(server.process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _of_session(leader: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(leader)], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split() if psutil.pid_exists(int(pid))]


def test_every_server_is_told_the_same_model_and_its_port(tmp_path: Path) -> None:
    for peer in PEERS:
        words = peer.command(tmp_path, canary(), 4711, 8)
        assert "4711" in words
        assert any("canary/weights" in word for word in words)
    mllama = Subject("m", "mllama", tmp_path, None, "?", sees=False)
    assert [peer.name for peer in PEERS if peer.takes(mllama)] == [OURS, "transformers serve"]


@pytest.mark.parametrize("words", [["--clients", "0"], ["--servers", "ollama"], ["--model", "gpt"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    checkout = Path(__file__).parents[2]
    refused = subprocess.run(
        [sys.executable, "-m", "sightline.bench", "serve", *words],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert words[1] in refused.stderr
    assert "Traceback" not in refused.stderr
