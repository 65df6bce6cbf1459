"""Two versions of sightline-serve side by side: python -m tests.serve.compare_serve --before OTHER/serve

Both are asked the same: so many clients, a picture each, as fast as they are answered. They take turns, so
that whatever else the machine does meets both; the median of the rounds is told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.serve import server_process, tiny_llava
from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import SERVE, ServerProcess

QUESTION = "Describe the shape as JSON with the keys color and shape."
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "brown")


def started(source: Path, model: Path, log: Path, threads: int) -> ServerProcess:
    server_process.SERVE = source
    server = ServerProcess(model, "--threads", str(threads), log=log)
    server.wait_ready()
    return server


def round_of(
    server: ServerProcess, clients: int, requests: int, tokens: int, number: int
) -> dict[str, float]:
    """Requests a second, and milliseconds of a request in the middle; every picture is a new one."""

    def one(index: int) -> float:
        side = 200 + (number * requests + index) % 200
        picture = data_url(encoded(disc(COLOURS[index % len(COLOURS)], side)))
        began = time.perf_counter()
        answer = client.post("/v1/chat/completions", json=ask(QUESTION, picture, max_tokens=tokens))
        answer.raise_for_status()
        return time.perf_counter() - began

    with httpx.Client(base_url=server.base, timeout=600) as client, ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        each = list(pool.map(one, range(requests)))
        seconds = time.perf_counter() - began
    return {"per_second": requests / seconds, "p50_ms": statistics.median(each) * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--before", type=Path, required=True, help="folder that holds the other sightline_serve"
    )
    parser.add_argument("--model", type=Path, help="folder; left out: a random LLaVA of 80 M parameters")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=32, help="of a round")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = args.model or tiny_llava.build(folder / "model", context=2048, width=768, layers=13)
        sources = {"before": args.before.resolve(), "after": SERVE}
        servers = {
            name: started(source, model, folder / f"{name}.log", args.threads)
            for name, source in sources.items()
        }
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        try:
            for number in range(args.rounds + 1):
                for name, server in servers.items():
                    found = round_of(server, args.clients, args.requests, args.tokens, number)
                    if number:  # the first warms up
                        rounds[name].append(found)
        finally:
            for server in servers.values():
                server.kill()
    result: dict[str, Any] = {
        name: {what: round(statistics.median(r[what] for r in found), 2) for what in found[0]}
        for name, found in rounds.items()
    }
    result["ratio"] = round(result["after"]["per_second"] / result["before"]["per_second"], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
