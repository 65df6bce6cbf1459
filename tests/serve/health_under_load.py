"""How soon /health answers while others misbehave: python -m tests.serve.health_under_load --seconds 30

The real server with the canary. All the while: pictures asked for from a host that sends a byte now and
then, bombs that the budget refuses, pictures of 49 megapixels that it takes, and ordinary requests. Before
that, the same with nobody else there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx

from tests.serve.bombs import bomb
from tests.serve.conftest import REPOSITORY, PictureHost
from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess

QUESTION = "What colour is the shape? Answer with one word."


def bodies(host: PictureHost) -> dict[str, list[bytes]]:
    """What each kind of client sends, made beforehand."""
    urls = {
        "slow host": [host.url("/slow")],
        "bomb refused": [data_url(bomb("PNG, RGB"))],
        "49 megapixels, PNG": [data_url(bomb("PNG, RGB", 7000))],
        "49 megapixels, WebP": [data_url(bomb("WebP", 7000))],
        "ordinary": [data_url(encoded(disc("red", side))) for side in range(100, 500, 40)],
    }
    return {
        kind: [json.dumps(ask(QUESTION, url, max_tokens=8)).encode() for url in some]
        for kind, some in urls.items()
    }


def client(base: str, sent: list[bytes], over: Event, answers: multiprocessing.Queue[int]) -> None:
    with httpx.Client(base_url=base, timeout=240) as http:
        while not over.is_set():
            answers.put(http.post("/v1/chat/completions", content=random.choice(sent)).status_code)


def health(base: str, seconds: float) -> dict[str, float]:
    """Milliseconds, asked 20 times a second, each time over a connection of its own."""
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with httpx.Client(timeout=60) as http:  # making one takes long, and is no part of the answer
            began = time.perf_counter()
            http.get(f"{base}/health").raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    found = {"asked": len(times), "p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(times)}
    return {name: round(value, 1) for name, value in found.items()}


def measure(server: ServerProcess, host: PictureHost, seconds: float, clients: int) -> dict[str, object]:
    host.trickle("/slow")
    sent = bodies(host)
    alone = health(server.base, seconds / 3)
    over = multiprocessing.Event()
    answers: dict[str, multiprocessing.Queue[int]] = {kind: multiprocessing.Queue() for kind in sent}
    crowd = [
        multiprocessing.Process(
            target=client, args=(server.base, sent[kind], over, answers[kind]), daemon=True
        )
        for kind in sent
        for _ in range(clients)
    ]
    for one in crowd:
        one.start()
    time.sleep(1)
    crowded = health(server.base, seconds)
    statuses = {}
    for kind, queue in answers.items():
        counted = Counter(queue.get() for _ in range(queue.qsize()))
        statuses[kind] = {str(status): count for status, count in sorted(counted.items())}
    over.set()
    for one in crowd:
        one.terminate()
        one.join()
    return {"alone": alone, "crowded": crowded, "answers": statuses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clients", type=int, default=2, help="of each kind")
    args = parser.parse_args()
    host = PictureHost()
    with tempfile.TemporaryDirectory() as scratch:
        server = ServerProcess(
            REPOSITORY / "canary" / "weights", "--allow-image-hosts", "127.0.0.1", "--image-timeout", "5",
            log=Path(scratch) / "log",
        )  # fmt: skip
        try:
            server.wait_ready()
            print(json.dumps(measure(server, host, args.seconds, args.clients), indent=2))
        finally:
            host.release.set()
            server.kill()


if __name__ == "__main__":
    main()
