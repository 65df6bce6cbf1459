"""Thousands of requests of every kind at once, each answer judged against its own picture.

    python -m tests.serve.soak --requests 10000

First every question is asked alone. Then many clients ask at the same time, in random order, some streaming,
some reading slowly, some leaving in the middle, among bombs and broken bodies. An answer must be, word for
word, what the same picture got alone. At the end nothing may be left: no request running, waiting or inside,
and memory as it was. Prints JSON. Exit codes: 0 sound, 1 not, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.serve.bombs import bomb
from tests.serve.conftest import REPOSITORY
from tests.serve.drawing import ask, data_url
from tests.serve.server_process import ServerProcess
from tests.serve.soak_cases import Case, cases
from tests.serve.soak_memory import Memory

CHAT = "/v1/chat/completions"
MIX = {
    "whole": 40, "stream": 30, "slow reader": 3, "leaves": 8, "leaves while sending": 4, "bomb": 5,
    "bad body": 8, "health": 2,
}  # fmt: skip
BAD_BODIES = [
    b"", b"{", b"[]", b"null", b'{"model": "test-model"}', b'{"model": "test-model", "messages": []}',
    json.dumps(ask("x", "data:image/png;base64,AAAA")).encode(), json.dumps(ask("x", temperature=7)).encode(),
    json.dumps(ask("x", "file:///etc/passwd")).encode(), json.dumps({**ask("x"), "model": "other"}).encode(),
    json.dumps(ask("word " * 9000)).encode(), b"\xff\xfe" * 50, json.dumps(ask("<image>")).encode(),
]  # fmt: skip


class Soak:
    """`wrong` holds what was not as it should be, in words."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.cases = cases(random.Random(seed))
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory = Memory(server.process.pid)
        self.http = httpx.Client(base_url=server.base, timeout=300, limits=httpx.Limits(max_connections=64))

    def alone(self) -> int:
        """Asks every case by itself and keeps the answer. Returns how many are not what was drawn."""
        misread = 0
        for case in self.cases:
            case.alone = self._whole(case)
            misread += case.alone.strip().lower() != case.drawn
        return misread

    def crowd(self, requests: int, clients: int) -> None:
        numbers = iter(range(requests))
        lock = threading.Lock()
        told = time.monotonic()

        def client() -> None:
            nonlocal told
            while True:
                with lock:
                    number = next(numbers, None)
                    if time.monotonic() - told > 20:
                        told = time.monotonic()
                        print(f"soak: {number} of {requests}, {len(self.wrong)} wrong", file=sys.stderr)
                if number is None:
                    return
                self.memory.note(number / requests)
                chance = random.Random(f"{self.seed} {number}")
                kind = chance.choices(list(MIX), list(MIX.values()))[0]
                try:
                    self._one(kind, chance)
                except httpx.HTTPError as error:
                    self.wrong.append(f"{kind}: {type(error).__name__} {error}")
                self.done[kind] += 1

        with ThreadPoolExecutor(clients) as pool:
            for running in [pool.submit(client) for _ in range(clients)]:
                running.result()

    def nothing_left(self) -> dict[str, float]:
        """The server's own counts once it has come to rest; each should be 0."""
        names = ("running_requests", "waiting_requests", "requests_inside")
        for _ in range(200):
            found = {name: self.server.metric(f"sightline_{name}") for name in names}
            if not any(found.values()):
                break
            time.sleep(0.1)
        return found

    def _one(self, kind: str, chance: random.Random) -> None:
        case = chance.choice(self.cases)
        match kind:
            case "whole":
                self._judge(case, self._whole(case), kind)
            case "stream":
                self._judge(case, self._streamed(case, 0), kind)
            case "slow reader":
                self._judge(case, self._streamed(case, 0.05), kind)
            case "leaves" | "leaves while sending":
                self._leave(case, chance, kind == "leaves")
            case "bomb":
                self._refused(
                    json.dumps(ask("x", data_url(bomb(chance.choice(BOMBS))))).encode(), {400}, kind
                )
            case "bad body":
                self._refused(chance.choice(BAD_BODIES), {400, 404}, kind)
            case "health":
                if self.http.get("/health").status_code != 200:
                    self.wrong.append("/health is not 200")

    def _whole(self, case: Case) -> str:
        answer = self.http.post(CHAT, json=case.request)
        if answer.status_code != 200:
            return f"status {answer.status_code}: {answer.text[:300]}"
        return str(answer.json()["choices"][0]["message"]["content"])

    def _streamed(self, case: Case, pause: float) -> str:
        text, ended = "", False
        with self.http.stream("POST", CHAT, json={**case.request, "stream": True}) as answer:
            if answer.status_code != 200:
                return f"status {answer.status_code}: {answer.read()[:300]!r}"
            for line in answer.iter_lines():
                time.sleep(pause)
                data = line.removeprefix("data: ")
                if data == "[DONE]":
                    ended = True
                elif data:
                    chunk: dict[str, Any] = json.loads(data)
                    if "error" in chunk:
                        return f"error in the stream: {chunk['error']}"
                    text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        return text if ended else f"{text} (without an end)"

    def _judge(self, case: Case, said: str, kind: str) -> None:
        if said != case.alone:
            self.wrong.append(f"{kind}, {case.name}: {said!r}, alone {case.alone!r}")

    def _refused(self, body: bytes, statuses: set[int], kind: str) -> None:
        answer = self.http.post(CHAT, content=body)
        if answer.status_code not in statuses or set(answer.json()) != {"error"}:
            self.wrong.append(f"{kind}: status {answer.status_code} {answer.text[:200]}")

    def _leave(self, case: Case, chance: random.Random, sent: bool) -> None:
        """Closes the connection: somewhere in the body, or a moment after it."""
        body = json.dumps({**case.request, "stream": chance.random() < 0.5}).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as leaving:
            leaving.sendall(head + (body if sent else body[: chance.randrange(len(body))]))
            time.sleep(chance.random() * 0.2)


BOMBS = ("PNG, RGB", "GIF", "JPEG, progressive")


def soak(server: ServerProcess, requests: int, clients: int, seed: int) -> dict[str, Any]:
    """`sound` says whether all was as it should be; the rest says what was not."""
    run = Soak(server, seed)
    for kind in BOMBS:
        bomb(kind)  # made before the clock runs
    misread = run.alone()
    began = time.monotonic()
    run.crowd(requests, clients)
    seconds = time.monotonic() - began
    left = run.nothing_left()
    after = run.cases[0]
    run._judge(after, run._whole(after), "afterwards")
    memory = run.memory.verdict()
    return {
        "sound": not run.wrong and not any(left.values()) and memory["flat"],
        "requests": dict(run.done),
        "seconds": round(seconds, 1),
        "pictures": len(run.cases),
        "misread_alone": misread,
        "wrong": len(run.wrong),
        "wrong_first": run.wrong[:5],
        "left": left,
        "memory": memory,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="tests.serve.soak"
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.requests < 1 or args.clients < 1:
        parser.error("--requests and --clients must be at least 1")
    with tempfile.TemporaryDirectory() as scratch:
        # A small cache of pictures: most are seen anew, some are remembered.
        server = ServerProcess(
            REPOSITORY / "canary" / "weights", "--vision-cache-mib", "2", log=Path(scratch) / "log"
        )
        try:
            server.wait_ready()
            found = soak(server, args.requests, args.clients, args.seed)
        finally:
            server.kill()
    print(json.dumps(found, indent=2))
    return 0 if found["sound"] else 1


if __name__ == "__main__":
    sys.exit(main())
