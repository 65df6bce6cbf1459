"""The line between the hosts that hold one model together: that it is there both ways, and how fast it is.

All of them run this at the same time. Rank 0, the head, listens; each of the others comes to it, sends for a
while, and is then sent to from the head on a port that its system has chosen: vLLM's processes talk on such
ports in both directions, so a host whose ports are mapped one by one is found out here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 1.5
"""How long each direction is measured."""
ECHOES = 20
_PIECE = bytes(2**20)
_LINE = 200

Say = Callable[[str], None]


class LinkProblem(Exception):
    """The line cannot be used; the message says what did not answer, why that may be and what to do."""


@dataclass(frozen=True)
class Line:
    """Between the head and one other: bytes/s towards the head and from it; milliseconds there and back."""

    rank: int
    to_head: float
    from_head: float
    round_trip: float


def as_head(address: str, port: int, count: int, token: str, timeout: float, say: Say) -> list[Line]:
    """Measure the line to each of the `count` - 1 others, in the order in which they come.

    `token` is a word that all of them know: it tells this group from another one. Raises LinkProblem.
    """
    deadline = time.monotonic() + timeout
    found: list[Line] = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family, backlog=count)
    except OSError as problem:
        raise LinkProblem(f"the head cannot listen on {address} port {port}: {problem.strerror}") from problem
    with listening:
        while len(found) < count - 1:
            listening.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                came, _ = listening.accept()
            except OSError:
                missing = sorted(set(range(1, count)) - {line.rank for line in found})
                raise LinkProblem(
                    f"within {timeout:.0f} s no node of rank {', '.join(map(str, missing))} reached "
                    f"{address} port {port}. {_WHY}"
                ) from None
            with came:
                line = _ask(came, token)
                if line and line.rank not in {known.rank for known in found}:
                    found.append(line)
                    say(f"rank {line.rank}: {line.to_head / 1e6:.0f} and {line.from_head / 1e6:.0f} MB/s")
    return found


def as_other(rank: int, address: str, head: str, port: int, token: str, timeout: float) -> None:
    """Be measured by the head. Raises LinkProblem."""
    deadline = time.monotonic() + timeout
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        back = socket.create_server((address, 0), family=family)
    except OSError as problem:
        raise LinkProblem(f"this node cannot listen on {address}: {problem.strerror}") from problem
    with back, _reach(address, head, port, deadline) as line:
        line.settimeout(timeout)
        try:
            line.sendall(f"{token} {rank} {address} {back.getsockname()[1]}\n".encode())
            for _ in range(ECHOES):
                line.sendall(_exactly(line, 1))
            _send(line)
            back.settimeout(timeout)
            came, _ = back.accept()
            with came:
                came.settimeout(timeout)
                came.sendall(b"%d\n" % _count(came))
        except OSError as problem:
            raise LinkProblem(
                f"the head {head} was reached, and the line then broke ({problem}): it did not come back to "
                f"{address}, or took this node for one of another deployment. {_WHY}"
            ) from problem


_WHY = (
    "vLLM's nodes open ports of their own choosing to each other: every port must be open between them in "
    "their private network. A rented container behind NAT has none but those that its provider maps: use one "
    "host with more cards, or hosts that share a network. Also look at firewalls, and that Ansible asks all "
    "of them at once (forks)."
)


def _ask(came: socket.socket, token: str) -> Line | None:
    """Measure one that came; None for a stranger, or one that was cut off."""
    came.settimeout(20)
    try:
        words = _line(came).split()
        if len(words) != 4 or words[0] != token:
            return None
        rank, address, port = int(words[1]), words[2], int(words[3])
        start = time.monotonic()
        for _ in range(ECHOES):
            came.sendall(b".")
            _exactly(came, 1)
        round_trip = (time.monotonic() - start) / ECHOES * 1000
        start = time.monotonic()
        received = _count(came)
        to_head = received / max(time.monotonic() - start, 1e-6)
        with socket.create_connection((address, port), timeout=10) as back:
            start = time.monotonic()
            _send(back)
            arrived = int(_line(back))
            from_head = arrived / max(time.monotonic() - start, 1e-6)
    except (OSError, ValueError):
        return None
    return Line(rank, to_head, from_head, round_trip)


def _reach(address: str, head: str, port: int, deadline: float) -> socket.socket:
    """The head may begin a little later."""
    while True:
        try:
            return socket.create_connection((head, port), timeout=5, source_address=(address, 0))
        except OSError as problem:
            if time.monotonic() > deadline:
                raise LinkProblem(
                    f"{address} does not reach the head at {head} port {port}: {problem}. {_WHY}"
                ) from problem
            time.sleep(0.3)


def _send(line: socket.socket) -> None:
    """Send for SECONDS, then say that it was all."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        line.sendall(_PIECE)
    line.shutdown(socket.SHUT_WR)


def _count(line: socket.socket) -> int:
    received = 0
    while piece := line.recv(2**20):
        received += len(piece)
    return received


def _exactly(line: socket.socket, number: int) -> bytes:
    got = line.recv(number)
    if len(got) < number:
        raise ConnectionError("closed by the other end")
    return got


def _line(came: socket.socket) -> str:
    """A short line of text. Raises ValueError for anything longer, or not text."""
    said = b""
    while not said.endswith(b"\n"):
        said += _exactly(came, 1)
        if len(said) > _LINE:
            raise ValueError("no line")
    return said.decode("ascii").strip()
