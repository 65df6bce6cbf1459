"""pip's output, read: how far it is, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Callable

Say = Callable[[str], None]

LINKS = "find-links:"
"""Begins a source that is a folder of wheels, or a page that links to them, and no index."""

UNREACHABLE = (
    "NewConnectionError|ConnectionError|Failed to establish|Name or service not known|name resolution|"
    "Network is unreachable|Connection refused|timed out|ProxyError|SSLError|CERTIFICATE_VERIFY_FAILED"
)

ALMOST_FULL = 32 * 2**20
"""Fewer free bytes than that, while gigabytes are installed, and the disk is what stopped it."""


class Progress:
    """Turns pip's output into short lines: which package of how many, and how far a long download is."""

    def __init__(self, lock: str, count: int, say: Say) -> None:
        self.lock, self.count, self.say = lock, count, say
        self.package, self.seen, self.tenth = "", 0, 0

    def read(self, line: str) -> bool:
        """Take one line of pip's output; True when it was nothing but a progress figure."""
        if match := re.match(r"Progress (\d+) of (\d+)$", line):
            done, total = int(match[1]), int(match[2])
            tenth = 10 * done // total if total else 0
            if total > 20_000_000 and tenth > self.tenth:
                self.tenth = tenth
                self.say(f"{self.package}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
            return True
        if match := re.match(
            r"(?:Collecting |Processing \S*/)([A-Za-z0-9][\w.]*(?:-[A-Za-z_][\w.]*)*)", line
        ):
            self.package, self.tenth = match[1], 0
            self.seen += 1
            self.say(f"{self.lock} {self.seen}/{self.count}: {self.package}")
        elif line.startswith("Installing collected packages"):
            self.say(f"{self.lock}: unpacking {self.seen} packages")
        return False


def reason(output: str, index: str, free: int | None = None) -> str:
    """Why pip failed on one source, in words: what, where, and what to do.

    `free`: the least bytes of the disk that were free meanwhile. pip takes a download that the disk has no
    room for now and then for one that the network broke off.
    """
    where = f"index {index}" if index else "pip's configured index"
    where = index.removeprefix(LINKS) if index.startswith(LINKS) else where
    if "DO NOT MATCH THE HASHES" in output or "hash mismatch" in output.lower():
        return (
            f"{where} gave a file that is not the one in the lock file; it was not installed. "
            "Use another index (PIP_INDEX_URL), or rewrite the lock (scripts/lock) if you trust the new file"
        )
    if "No space left on device" in output or (free is not None and free < ALMOST_FULL):
        return f"the disk is full while installing from {where}: free some space and run this again"
    if "incomplete-download" in output:
        return f"{where} broke off in the middle of a file: check the network and run this again"
    if match := re.search(UNREACHABLE, output):
        return f"{where} cannot be reached ({match[0]}): check network, proxy variables and PIP_INDEX_URL"
    if match := re.search(r"No matching distribution found for (\S+)", output):
        # pip without retries (PIP_RETRIES=0) does not say that an index is down: it has "no versions" then.
        silent = ", or did not answer" if "from versions: none" in output else ""
        return f"{where} has no {match[1]} for this Python and machine{silent}"
    return f"{where}: {tail(output)}"


def tail(output: str) -> str:
    """The last errors of a program's output, or else its last lines."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return " / ".join((errors or lines)[-3:]) or "no output"
