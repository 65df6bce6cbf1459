"""The canary, a gateway before it, and the ways to ask: directly, through the gateway, through its TLS."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sightline.bench.errors import BenchError
from sightline.bench.gateway.caddyfile import authority, write_caddyfile
from sightline.bench.serve import subjects
from sightline.bench.serve.peers import OURS, PEERS, Peer
from sightline.bench.serve.server import Server
from sightline.bench.serve.subjects import Subject
from sightline.layout import CHECKOUT

DIRECTLY, GATEWAY, TLS = "directly", "gateway", "gateway, TLS"
TLS_LIMIT = 30.0
"""Seconds that Caddy has to make its authority."""


class Canary(Subject):
    """The canary by its plain name, as a gateway's settings have it."""

    @property
    def asked_as(self) -> str:
        return "canary"


@dataclass(frozen=True)
class Way:
    """`how` goes to the client that asks: its key, and the authority that it trusts."""

    name: str
    base: str
    how: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Weight:
    """Memory that processes hold (resident, bytes): the gateway's own, and Caddy's (0: there is none)."""

    gateway: int
    caddy: int


@dataclass(frozen=True)
class Pair:
    """What runs. `start_seconds`: from the gateway's start to its first answer about a picture."""

    subject: Subject
    ways: tuple[Way, ...]
    start_seconds: float
    process: psutil.Process

    def weight(self) -> Weight:
        try:
            others = self.process.children(recursive=True)
            caddys = [other.memory_info().rss for other in others if other.name() == "caddy"]
            return Weight(self.process.memory_info().rss, sum(caddys))
        except psutil.Error as problem:
            raise BenchError(f"the gateway has ended: {problem}") from problem


@contextmanager
def running(clients: int, scratch: Path, say: Callable[[str], None]) -> Iterator[Pair]:
    """Both, for at most `clients` at once, until the context ends. Raises BenchError."""
    key = "sk-" + secrets.token_urlsafe(16)
    told = subjects.canary()
    subject = Canary(told.name, told.family, told.folder, None, told.question, sees=True)
    engine, proxy = subjects.environment("engine"), subjects.environment("gateway")
    (ours,) = (peer for peer in PEERS if peer.name == OURS)
    with ExitStack() as made:
        canary = Server(ours, engine, subject, clients, scratch / "canary.log")
        made.callback(canary.end)
        canary.wait_until_it_answers()
        say(f"{OURS}: first answer after {canary.start_seconds:.1f} s")
        caddy = shutil.which("caddy") is not None
        peer, port = _gateway(canary.base, key, caddy, scratch)
        gateway = Server(peer, proxy, subject, clients, scratch / "gateway.log")
        made.callback(gateway.end)
        gateway.wait_until_it_answers()
        say(f"the gateway: first answer after {gateway.start_seconds:.1f} s")
        ways = [Way(DIRECTLY, canary.base), Way(GATEWAY, gateway.base, {"headers": peer.headers})]
        if caddy:
            trusts = {"headers": peer.headers, "verify": str(_made(authority(scratch)))}
            ways.append(Way(TLS, f"https://127.0.0.1:{port}", trusts))
        yield Pair(subject, tuple(ways), gateway.start_seconds, psutil.Process(gateway.process.pid))


def _gateway(behind: str, key: str, caddy: bool, scratch: Path) -> tuple[Peer, int]:
    """How it is started before the server at `behind`, and the port that Caddy gets."""
    replica = {"name": "one", "url": f"{behind}/v1", "model": "canary"}
    (scratch / "gateway.json").write_text(json.dumps({"model": "canary", "replicas": [replica]}))
    for name, line in (("keys", f"bench {key}\n"), ("replica-keys", "one none-is-asked-for\n")):
        (scratch / name).unlink(missing_ok=True)
        (scratch / name).touch(mode=0o600)
        (scratch / name).write_text(line)
    shutil.rmtree(scratch / "caddy-state", ignore_errors=True)
    with socket.create_server(("127.0.0.1", 0)) as found:
        outer: int = found.getsockname()[1]

    def command(environment: Path, subject: Subject, port: int, clients: int) -> list[str]:
        words = [
            f"{environment}/bin/python", "-m", "sightline_gateway", "--settings", f"{scratch}/gateway.json",
            "--keys", f"{scratch}/keys", "--replica-keys", f"{scratch}/replica-keys",
            "--config", f"{scratch}/litellm.yaml", "--port", str(port),
        ]  # fmt: skip
        return [*words, "--caddyfile", str(write_caddyfile(scratch, outer, port))] if caddy else words

    headers = {"Authorization": f"Bearer {key}"}
    variables = {"PYTHONPATH": str(CHECKOUT / "serve")}
    return Peer("the gateway", "gateway", command, variables=variables, headers=headers), outer


def _made(file: Path) -> Path:
    deadline = time.monotonic() + TLS_LIMIT
    while not file.exists():
        if time.monotonic() > deadline:
            raise BenchError(f"Caddy has made no {file} within {TLS_LIMIT:g} s; see gateway.log beside it")
        time.sleep(0.1)
    return file
