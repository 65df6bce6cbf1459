"""Who may ask: a file of keys that is read anew when it changes, and how often each may ask in a minute."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

MINUTE = 60.0


class KeysProblem(Exception):
    """A key file that cannot be used; the message names file and line, and never what stands in it."""


@dataclass(frozen=True)
class Client:
    """One who may ask. `rpm`: requests a minute, 0 for as many as they like; `models` empty: every model.

    Of the key itself only its SHA-256 is kept (32 bytes).
    """

    name: str
    digest: bytes = field(repr=False)
    rpm: int = 0
    models: tuple[str, ...] = ()


def read_clients(path: Path) -> tuple[Client, ...]:
    """One a line: `NAME KEY [rpm=N] [models=A,B]`, or a key alone; blank lines and # lines are left out.

    Raises KeysProblem.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise KeysProblem(f"{path} holds characters beyond ASCII") from None
    except OSError as problem:
        raise KeysProblem(f"{path}: {problem.strerror}") from None
    found: list[Client] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            client = _client(words, len(found) + 1)
        except ValueError as problem:
            raise KeysProblem(f"{path}, line {number}: {problem}") from None
        if any(client.name == other.name or client.digest == other.digest for other in found):
            raise KeysProblem(f"{path}, line {number}: the key or its name stands in an earlier line too")
        found.append(client)
    return tuple(found)


def _client(words: list[str], number: int) -> Client:
    plain = [word for word in words if "=" not in word.rstrip("=")]
    options = [word.partition("=") for word in words if word not in plain]
    if not 1 <= len(plain) <= 2:
        raise ValueError("a line is NAME KEY, then rpm=N and models=A,B if wished")
    rpm = 0
    models: tuple[str, ...] = ()
    for name, _, value in options:
        if name == "rpm" and value.isdigit():
            rpm = int(value)
        elif name == "models" and value:
            models = tuple(part for part in value.split(",") if part)
        else:
            raise ValueError("after the key come rpm=N and models=A,B, and nothing else")
    name = plain[0] if len(plain) == 2 else f"key-{number}"
    return Client(name, digest_of(plain[-1]), rpm, models)


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class KeyRing:
    """The clients of now, from several files; one that changes is read anew at the next question.

    A file that has become unusable changes nothing, and the log says why. Raises KeysProblem at first only.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._clients: dict[Path, tuple[Client, ...]] = {}
        for path in paths:
            self._read(path)
        if not any(self._clients.values()):
            raise KeysProblem(f"{paths[0]} holds no key; write one into it: openssl rand -hex 32")

    def find(self, key: str) -> Client | None:
        """Whose key it is. Every key is compared, in a time that does not tell which was met."""
        self._refresh()
        digest, found = digest_of(key), None
        for clients in self._clients.values():
            for client in clients:
                if hmac.compare_digest(digest, client.digest):
                    found = found or client
        return found

    def _refresh(self) -> None:
        for path in self.paths:
            try:
                if _stamp(path) == self._seen.get(path):
                    continue
                self._read(path)
                log.info("keys read again from %s: %s", path, ", ".join(c.name for c in self._clients[path]))
            except (OSError, KeysProblem) as problem:
                if _stamp_or_none(path) != self._seen.get(path):
                    log.error("the keys stay as they were: %s", problem)
                    self._seen[path] = _stamp_or_none(path) or (0, 0, 0)

    def _read(self, path: Path) -> None:
        stamp = _stamp_or_none(path)
        self._clients[path] = read_clients(path)
        self._seen[path] = stamp or (0, 0, 0)


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _stamp_or_none(path: Path) -> tuple[int, int, int] | None:
    try:
        return _stamp(path)
    except OSError:
        return None


class Minutes:
    """How many requests each client made in the last 60 seconds, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def take(self, client: Client) -> int:
        """Count a request of `client`: 0 when it may pass, else the seconds until one may (at least 1)."""
        if not client.rpm:
            return 0
        now = self._clock()
        times = self._times.setdefault(client.name, deque())
        while times and now - times[0] >= MINUTE:
            times.popleft()
        if len(times) < client.rpm:
            times.append(now)
            return 0
        return max(1, math.ceil(times[len(times) - client.rpm] + MINUTE - now))
